internal import DRMLock

/// Whose job comes next, of those of one priority.
public enum SchedulingPolicy: Sendable {
    /// In turn.
    case roundRobin
    /// Whose job has waited longest.
    case fifo
    /// Who has had least of the hardware; the priority is a weight, and there is one queue for all.
    case fair
}

/// `drm_sched_priority`. Lower comes first.
public enum SchedulerPriority: UInt8, CaseIterable, Comparable, Sendable {
    case kernel, high, normal, low

    public static func < (a: SchedulerPriority, b: SchedulerPriority) -> Bool { a.rawValue < b.rawValue }

    /// By how many bits time runs quicker for it under ``SchedulingPolicy/fair``.
    var shift: UInt64 {
        switch self {
        case .kernel: 1
        case .high: 2
        case .normal: 4
        case .low: 7
        }
    }
}

/// The entities of one priority: all that have had a job here, and, ordered by their keys, those that have one now.
/// Equal keys keep the order in which they came.
///
/// An ordered list, searched from its end: that is where nearly all belong, and it is linked through the entities, so
/// that nothing is allocated.
///
/// Locking: all under the scheduler's run-queue lock; whoever changes an entity's place has that entity's lock too.
///
/// Source: jobs.md §6.5.
final class RunQueue {
    private let policy: SchedulingPolicy
    /// Those that wait with a job, in order.
    private(set) unowned(unsafe) var first: SchedulerEntity?
    private unowned(unsafe) var last: SchedulerEntity?
    private(set) unowned(unsafe) var firstMember: SchedulerEntity?
    /// The last turn given.
    private var turn: Int64 = 0
    /// Of the first, when it came there.
    private var headPriority: SchedulerPriority?

    init(policy: SchedulingPolicy) {
        self.policy = policy
    }

    // MARK: Members

    func addMember(_ entity: SchedulerEntity) {
        entity.isMember = true
        entity.nextMember = firstMember
        firstMember?.previousMember = entity
        firstMember = entity
    }

    func removeMember(_ entity: SchedulerEntity) {
        entity.isMember = false
        if let previous = entity.previousMember {
            previous.nextMember = entity.nextMember
        } else {
            firstMember = entity.nextMember
        }
        entity.nextMember?.previousMember = entity.previousMember
        entity.nextMember = nil
        entity.previousMember = nil
    }

    // MARK: Order

    /// The entity has a job now.
    /// - Parameter average: of the scheduler's jobs, in µs.
    func join(_ entity: SchedulerEntity, _ job: SchedulerJob, average: UInt64) {
        switch policy {
        case .fifo: insert(entity, key: Int64(job.submitTime))
        case .roundRobin: insert(entity, key: entity.turn)
        case .fair: insert(entity, key: restoreRuntime(of: entity, average: average))
        }
    }

    /// The entity's first job was taken.
    /// - Parameter next: the one behind it.
    func took(from entity: SchedulerEntity, next: SchedulerJob?) {
        guard entity.isWaiting else { return }
        remove(entity)
        switch (policy, next) {
        case (.fifo, let next?):
            insert(entity, key: Int64(next.submitTime))
        case (.roundRobin, _?):
            turn += 1
            entity.turn = turn
            insert(entity, key: turn)
        case (.fair, _?):
            entity.virtualRuntime &+= Int64(entity.takeRuntime() << entity.priority.shift)
            insert(entity, key: entity.virtualRuntime)
        case (.fair, nil):
            let least = leastRuntime
            let v = entity.virtualRuntime
            entity.virtualRuntime = least != 0 && v > least ? v - least : 0
        case (_, nil):
            break
        }
    }

    private var leastRuntime: Int64 { first?.virtualRuntime ?? 0 }

    /// What was saved when the entity left counts from the least of now. Who has nothing saved goes before a head of
    /// lower priority, and well behind one of higher.
    private func restoreRuntime(of entity: SchedulerEntity, average: UInt64) -> Int64 {
        var v = entity.virtualRuntime
        if v == 0, let head = headPriority {
            let priority = entity.priority, own = entity.averageRuntime
            if priority > head {
                v = Int64((1 + own + average) << priority.shift) * 1000
            } else if priority < head {
                v = -Int64(head.rawValue - priority.rawValue)
            } else {
                v = own <= average ? -1 : 1
            }
        }
        v &+= leastRuntime
        entity.virtualRuntime = v
        return v
    }

    private func insert(_ entity: SchedulerEntity, key: Int64) {
        entity.key = key
        entity.isWaiting = true
        unowned(unsafe) var before = last
        while let other = before, other.key > key { before = other.previousWaiting }
        let next = before == nil ? first : before!.nextWaiting
        entity.previousWaiting = before
        entity.nextWaiting = next
        if let before { before.nextWaiting = entity } else { first = entity }
        if let next { next.previousWaiting = entity } else { last = entity }
        headPriority = first?.priority
    }

    /// Takes the entity out of the order, where it is in it.
    func remove(_ entity: SchedulerEntity) {
        guard entity.isWaiting else { return }
        entity.isWaiting = false
        let before = entity.previousWaiting, next = entity.nextWaiting
        if let before { before.nextWaiting = next } else { first = next }
        if let next { next.previousWaiting = before } else { last = before }
        entity.previousWaiting = nil
        entity.nextWaiting = nil
        headPriority = first?.priority
    }
}
