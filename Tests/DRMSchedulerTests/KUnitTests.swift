import DRMLock
import Testing

// The kernel's KUnit suites for the scheduler, by their names (jobs.md §7). Each runs on the stepped gate: in full with
// one order, and in short with 1,000 seeds.
@Suite struct KUnitSteppedTests {
    @Test("drm_sched_basic_submit")
    func basicSubmitTest() { forSeeds(1000) { try basicSubmit($0) } }

    @Test("drm_sched_basic_test", arguments: [(1, false), (1, true), (4, false), (4, true)])
    func basicTest(_ entities: Int, _ chained: Bool) throws {
        try basic(SteppedGate(), entities: entities, chained: chained, jobs: 100 / entities)
        forSeeds(1000) { try basic($0, entities: entities, chained: chained, jobs: 8 / entities) }
    }

    @Test("drm_sched_basic_entity_cleanup")
    func entityCleanupTest() throws {
        try entityCleanup(SteppedGate(), jobs: 100)
        forSeeds(1000) { try entityCleanup($0, jobs: 12) }
    }

    @Test("drm_sched_basic_timeout")
    func timeoutTest() { forSeeds(1000) { try timeout($0) } }

    @Test("drm_sched_skip_reset")
    func skipResetTest() { forSeeds(1000) { try skipReset($0) } }

    @Test("drm_sched_basic_cancel")
    func cancelTest() { forSeeds(1000) { try cancel($0) } }

    @Test("drm_sched_priorities")
    func prioritiesTest() throws {
        try priorities(SteppedGate(), jobs: 100)
        forSeeds(1000) { try priorities($0, jobs: 8) }
    }

    @Test("drm_sched_change_priority")
    func changePriorityTest() throws {
        try changePriority(SteppedGate(), jobs: 1000)
        forSeeds(1000) { try changePriority($0, jobs: 8) }
    }

    @Test("drm_sched_test_modify_sched")
    func modifySchedTest() throws {
        try modifySched(SteppedGate())
        forSeeds(1000) { try modifySched($0, entities: 3, jobs: 12) }
    }

    @Test("drm_sched_test_credits")
    func creditsTest() { forSeeds(1000) { try credits($0) } }

    @Test("drm_sched_test_queue_overhead")
    func queueOverheadTest() throws {
        try overhead(SteppedGate(), entities: 1, jobs: 1000)
        forSeeds(1000) { try overhead($0, entities: 1, jobs: 8) }
    }

    @Test("drm_sched_test_ping_pong")
    func pingPongTest() throws {
        try overhead(SteppedGate(), entities: 2, jobs: 1000)
        forSeeds(1000) { try overhead($0, entities: 2, jobs: 8) }
    }

    @Test("drm_sched_scheduler_two_clients_test", arguments: [1, 2] as [UInt32], 0..<10)
    func twoClientsTest(_ creditLimit: UInt32, _ pair: Int) throws {
        try clients(SteppedGate(), creditLimit: creditLimit, clientPairs(50)[pair].clients)
        forSeeds(60) { try clients($0, creditLimit: creditLimit, clientPairs(3)[pair].clients) }
    }

    @Test("drm_sched_scheduler_many_clients_test", arguments: [2, 3, 7, 13, 31])
    func manyClientsTest(_ count: Int) {
        let some = (0..<count).map { i -> Client in
            let duration = UInt64(i % 3 + 1) * millisecond
            return Client(jobs: 3, duration: duration, waits: i % 2 == 0)
        }
        forSeeds(1000 / (count * count) + 5) { try clients($0, creditLimit: 2, some) }
    }
}

// The same on threads; the slow ones are shortened.
@Suite(.serialized) struct KUnitThreadedTests {
    @Test("drm_sched_basic_submit")
    func basicSubmitTest() throws { try onThreads { try basicSubmit($0, unit: 100 * millisecond) } }

    @Test("drm_sched_basic_test", arguments: [(1, false), (1, true), (4, false), (4, true)])
    func basicTest(_ entities: Int, _ chained: Bool) throws {
        try onThreads { try basic($0, entities: entities, chained: chained, jobs: 100 / entities) }
    }

    @Test("drm_sched_basic_entity_cleanup")
    func entityCleanupTest() throws { try onThreads { try entityCleanup($0, jobs: 100) } }

    @Test("drm_sched_basic_timeout")
    func timeoutTest() throws { try onThreads { try timeout($0) } }

    @Test("drm_sched_skip_reset")
    func skipResetTest() throws { try onThreads { try skipReset($0) } }

    @Test("drm_sched_basic_cancel")
    func cancelTest() throws { try onThreads { try cancel($0) } }

    @Test("drm_sched_priorities")
    func prioritiesTest() throws { try onThreads { try priorities($0, jobs: 100) } }

    @Test("drm_sched_change_priority")
    func changePriorityTest() throws { try onThreads { try changePriority($0, jobs: 100) } }

    @Test("drm_sched_test_modify_sched")
    func modifySchedTest() throws { try onThreads { try modifySched($0, jobs: 300) } }

    @Test("drm_sched_test_credits")
    func creditsTest() throws { try onThreads { try credits($0, unit: 100 * millisecond) } }

    @Test("drm_sched_test_queue_overhead")
    func queueOverheadTest() throws { try onThreads { try overhead($0, entities: 1, jobs: 100, slack: 20) } }

    @Test("drm_sched_test_ping_pong")
    func pingPongTest() throws { try onThreads { try overhead($0, entities: 2, jobs: 100, slack: 20) } }

    @Test("drm_sched_scheduler_two_clients_test", arguments: [1, 2] as [UInt32], 0..<10)
    func twoClientsTest(_ creditLimit: UInt32, _ pair: Int) throws {
        try onThreads { try clients($0, creditLimit: creditLimit, clientPairs(3)[pair].clients) }
    }

    @Test("drm_sched_scheduler_many_clients_test", arguments: [2, 3, 7, 13, 31])
    func manyClientsTest(_ count: Int) throws {
        let some = (0..<count).map { Client(jobs: 3, duration: millisecond, waits: $0 % 2 == 0) }
        try onThreads { try clients($0, creditLimit: 2, some) }
    }
}
