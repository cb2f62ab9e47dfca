// Locks, fences, syncobjs, the scheduler, pairs and the device, beside what an object, a fence or a locked add costs in the same run.
//   sync [locks] [fences] [jobs] [pairs] [device] [PART]      QUICK=1: few rounds; PART: only rows with this in their name
import Glibc

let rounds = getenv("QUICK") == nil ? 15 : 3
let groups = [
    "locks": benchLocks, "fences": benchFences, "jobs": benchJobs, "pairs": benchPairs, "device": benchDevice,
]
let all = ["locks", "fences", "jobs", "pairs", "device"]
let named = CommandLine.arguments.dropFirst().filter { groups[$0] != nil }
let part = CommandLine.arguments.dropFirst().first { groups[$0] == nil }
for name in named.isEmpty ? all : named { groups[name]!(rounds) }
