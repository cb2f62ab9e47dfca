import DRMLock
import DRMSync

private final class Nothing: FenceCallback, @unchecked Sendable {}

/// What the smallest object costs that reference counting keeps.
private final class Object {
    var next: Object?
    init(_ next: Object?) { self.next = next }
}

func benchFences(_ rounds: Int) {
    let gate = SteppedGate()
    let context = gate.allocateContexts()

    func make(_ count: Int) -> [Fence] {
        (0..<count).map { Fence(gate: gate, context: context, seqno: UInt64($0)) }
    }

    func signal(callbacks: Int) -> (Int) -> UInt64 {
        { count in
            let fences = make(count)
            for fence in fences { for _ in 0..<callbacks { try! fence.add(Nothing()) } }
            return measure { for fence in fences { fence.signal() } }
        }
    }

    let timeline = Syncobj(gate: gate), binary = Syncobj(gate: gate, isSignaled: true)
    timeline.signal(1)

    func wait(_ syncobj: Syncobj, _ point: UInt64) -> (Int) -> UInt64 {
        { count in
            measure {
                for _ in 0..<count {
                    _ = try! Syncobj.wait(for: [syncobj], points: [point], [], until: 0, gate: gate)
                }
            }
        }
    }

    let long = Syncobj(gate: gate), pending = make(10_000)
    for (i, fence) in pending.enumerated() { long.add(UInt64(i + 1), fence) }

    func search(_ point: UInt64) -> (Int) -> UInt64 {
        { count in measure { for _ in 0..<count { _ = try! long.find(point) } } }
    }

    report("fences and syncobjs, stepped gate", rounds: rounds, [
        Row(name: "limit: an object made and let go", count: 100_000) { count in
            var object: Object?
            let time = measure { for _ in 0..<count { object = Object(nil) } }
            withExtendedLifetime(object) {}
            return time
        },
        Row(name: "fence: made, signalled, let go", count: 100_000) { count in
            measure { for _ in 0..<count { Fence(gate: gate, context: context, seqno: 1).signal() } }
        },
        Row(name: "fence: signal, no callback", count: 50_000, run: signal(callbacks: 0)),
        Row(name: "fence: signal, 1 callback", count: 50_000, run: signal(callbacks: 1)),
        Row(name: "fence: signal, 10 callbacks", count: 10_000, run: signal(callbacks: 10)),
        Row(name: "syncobj: wait, binary, signalled", count: 100_000, run: wait(binary, 0)),
        Row(name: "syncobj: wait on a signalled point", count: 100_000, run: wait(timeline, 1)),
        Row(name: "timeline: a point added, signalled, collected", count: 50_000) { count in
            let syncobj = Syncobj(gate: gate)
            let fences = make(count)
            return measure {
                for (i, fence) in fences.enumerated() {
                    syncobj.add(UInt64(i + 1), fence)
                    fence.signal()
                }
            }
        },
        Row(name: "timeline of 10,000 pending points: find the newest", count: 10_000, run: search(10_000)),
        Row(name: "timeline of 10,000 pending points: find the middle", count: 20, run: search(5_000)),
        Row(name: "timeline of 10,000 pending points: find the oldest", count: 10, run: search(1)),
    ])
    for fence in pending { fence.signal() }
}
