// Locks, fences, syncobjs, the scheduler and pairs, beside what an object, a fence or a locked add costs in the same run.
//   sync [locks] [fences] [jobs] [pairs]      QUICK=1: few rounds
import Glibc

let rounds = getenv("QUICK") == nil ? 15 : 3
let groups = ["locks": benchLocks, "fences": benchFences, "jobs": benchJobs, "pairs": benchPairs]
let chosen = CommandLine.arguments.count > 1 ? Array(CommandLine.arguments.dropFirst()) : ["locks", "fences", "jobs", "pairs"]
for name in chosen {
    guard let run = groups[name] else { fatalError("no group \(name)") }
    run(rounds)
}
