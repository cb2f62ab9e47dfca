// Locks, fences, syncobjs, the scheduler, pairs and the device, beside what an object, a fence or a locked add costs in the same run.
//   sync [locks] [fences] [jobs] [pairs] [device]      QUICK=1: few rounds
import Glibc

let rounds = getenv("QUICK") == nil ? 15 : 3
let groups = [
    "locks": benchLocks, "fences": benchFences, "jobs": benchJobs, "pairs": benchPairs, "device": benchDevice,
]
let all = ["locks", "fences", "jobs", "pairs", "device"]
let chosen = CommandLine.arguments.count > 1 ? Array(CommandLine.arguments.dropFirst()) : all
for name in chosen {
    guard let run = groups[name] else { fatalError("no group \(name)") }
    run(rounds)
}
