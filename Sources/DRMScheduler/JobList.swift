/// Jobs in a row, linked through themselves: an entity's queue, a scheduler's pending list. Does not keep them: a job
/// that was pushed keeps itself until it is freed. A job is in one list at a time.
struct JobList {
    typealias Link = Unmanaged<SchedulerJob>

    private(set) var first: Link?
    private(set) var last: Link?

    var isEmpty: Bool { first == nil }

    mutating func append(_ job: SchedulerJob) {
        let link = Link.passUnretained(job)
        job.previous = last
        if let last { last._withUnsafeGuaranteedRef { $0.next = link } } else { first = link }
        last = link
    }

    mutating func prepend(_ job: SchedulerJob) {
        let link = Link.passUnretained(job)
        job.next = first
        if let first { first._withUnsafeGuaranteedRef { $0.previous = link } } else { last = link }
        first = link
    }

    mutating func remove(_ job: SchedulerJob) {
        let next = job.next, previous = job.previous
        if let previous { previous._withUnsafeGuaranteedRef { $0.next = next } } else { first = next }
        if let next { next._withUnsafeGuaranteedRef { $0.previous = previous } } else { last = previous }
        job.next = nil
        job.previous = nil
    }

    /// All of another list, behind what is here.
    mutating func append(takenFrom other: inout JobList) {
        while let job = other.first?.takeUnretainedValue() {
            other.remove(job)
            append(job)
        }
    }
}
