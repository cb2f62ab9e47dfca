// Locks, fences, syncobjs and the scheduler, beside what an object, a fence or a locked add costs in the same run.
//   sync [locks] [fences] [jobs]      QUICK=1: few rounds
import Glibc

let rounds = getenv("QUICK") == nil ? 15 : 3
let groups = ["locks": benchLocks, "fences": benchFences, "jobs": benchJobs]
let chosen = CommandLine.arguments.count > 1 ? Array(CommandLine.arguments.dropFirst()) : ["locks", "fences", "jobs"]
for name in chosen {
    guard let run = groups[name] else { fatalError("no group \(name)") }
    run(rounds)
}
