internal import DRMLock
internal import Synchronization

/// Lets who flushes TLBs wait for the engines that may still use what tables said before.
final class TableWalks: Sendable {
    private let gate: Gate
    private let generation = Atomic<Int>(0)
    /// Pieces of work under way, of even and of odd generations.
    private let even = Atomic<Int>(0)
    private let odd = Atomic<Int>(0)

    init(gate: Gate) { self.gate = gate }

    func enter(_ ticket: inout Int) {
        while true {
            ticket = generation.load(ordering: .sequentiallyConsistent)
            count(ticket, 1)
            if generation.load(ordering: .sequentiallyConsistent) == ticket { return }
            count(ticket, -1)
        }
    }

    func leave(_ ticket: Int) { count(ticket, -1) }

    /// Waits until all that entered before have left. One caller at a time; may park.
    func synchronize() {
        let old = generation.load(ordering: .sequentiallyConsistent)
        generation.store(old + 1, ordering: .sequentiallyConsistent)
        while entered(old) > 0 { gate.sleep(for: 10_000) }
    }

    private func entered(_ ticket: Int) -> Int {
        ticket & 1 == 0
            ? even.load(ordering: .sequentiallyConsistent) : odd.load(ordering: .sequentiallyConsistent)
    }

    private func count(_ ticket: Int, _ change: Int) {
        if ticket & 1 == 0 {
            even.add(change, ordering: .sequentiallyConsistent)
        } else {
            odd.add(change, ordering: .sequentiallyConsistent)
        }
    }
}
