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
/// that nothing is allocated. It does not keep them: an entity leaves before it goes away.
///
/// Locking: all under the scheduler's run-queue lock; whoever changes an entity's place has that entity's lock too.
///
/// Source: jobs.md §6.5.
struct RunQueue {
    typealias Link = Unmanaged<SchedulerEntity>

    private let policy: SchedulingPolicy
    /// How many entities wait with a job, here and in the scheduler's other queues.
    private let waiting: UnsafeMutablePointer<Int>
    /// Those that wait with a job, in order.
    private(set) var first: Link?
    private var last: Link?
    private(set) var firstMember: Link?
    /// The last turn given.
    private var turn: Int64 = 0
    /// Of the first, when it came there.
    private var headPriority: SchedulerPriority?

    init(policy: SchedulingPolicy, waiting: UnsafeMutablePointer<Int>) {
        self.policy = policy
        self.waiting = waiting
    }

    // MARK: Members

    mutating func addMember(_ entity: SchedulerEntity) {
        let link = Link.passUnretained(entity)
        entity.isMember = true
        entity.nextMember = firstMember
        firstMember?._withUnsafeGuaranteedRef { $0.previousMember = link }
        firstMember = link
    }

    mutating func removeMember(_ entity: SchedulerEntity) {
        let next = entity.nextMember, previous = entity.previousMember
        entity.isMember = false
        if let previous { previous._withUnsafeGuaranteedRef { $0.nextMember = next } } else { firstMember = next }
        next?._withUnsafeGuaranteedRef { $0.previousMember = previous }
        entity.nextMember = nil
        entity.previousMember = nil
    }

    // MARK: Order

    /// The entity has a job now.
    /// - Parameter average: of the scheduler's jobs, in µs.
    mutating func join(_ entity: SchedulerEntity, _ job: SchedulerJob, average: UInt64) {
        switch policy {
        case .fifo: insert(entity, key: Int64(job.submitTime))
        case .roundRobin: insert(entity, key: entity.turn)
        case .fair: insert(entity, key: restoreRuntime(of: entity, average: average))
        }
    }

    /// The entity's first job was taken.
    /// - Parameter next: the one behind it.
    mutating func took(from entity: SchedulerEntity, next: JobList.Link?) {
        guard entity.isWaiting else { return }
        remove(entity)
        switch (policy, next) {
        case (.fifo, let next?):
            insert(entity, key: Int64(next._withUnsafeGuaranteedRef { $0.submitTime }))
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

    private var leastRuntime: Int64 { first?._withUnsafeGuaranteedRef { $0.virtualRuntime } ?? 0 }

    /// What was saved when the entity left counts from the least of now. Who has nothing saved goes before a head of
    /// lower priority, and well behind one of higher.
    private mutating func restoreRuntime(of entity: SchedulerEntity, average: UInt64) -> Int64 {
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

    private mutating func insert(_ entity: SchedulerEntity, key: Int64) {
        let link = Link.passUnretained(entity)
        entity.key = key
        entity.isWaiting = true
        waiting.pointee += 1
        var before = last
        while let other = before, other._withUnsafeGuaranteedRef({ $0.key > key }) {
            before = other._withUnsafeGuaranteedRef { $0.previousWaiting }
        }
        let next = if let before { before._withUnsafeGuaranteedRef { $0.nextWaiting } } else { first }
        entity.previousWaiting = before
        entity.nextWaiting = next
        connect(before, link)
        connect(link, next)
        noteHead()
    }

    /// Takes the entity out of the order, where it is in it.
    mutating func remove(_ entity: SchedulerEntity) {
        guard entity.isWaiting else { return }
        entity.isWaiting = false
        waiting.pointee -= 1
        connect(entity.previousWaiting, entity.nextWaiting)
        entity.previousWaiting = nil
        entity.nextWaiting = nil
        noteHead()
    }

    /// Makes them neighbours; none is the end of the line.
    private mutating func connect(_ before: Link?, _ next: Link?) {
        if let before { before._withUnsafeGuaranteedRef { $0.nextWaiting = next } } else { first = next }
        if let next { next._withUnsafeGuaranteedRef { $0.previousWaiting = before } } else { last = before }
    }

    private mutating func noteHead() {
        headPriority = first?._withUnsafeGuaranteedRef { $0.priority }
    }
}
