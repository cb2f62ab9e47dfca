/// Jobs in a row, linked through themselves: an entity's queue, a scheduler's pending list. Does not keep them: a job
/// that was pushed keeps itself until it is freed. A job is in one list at a time.
struct JobList {
    private(set) unowned(unsafe) var first: SchedulerJob?
    private(set) unowned(unsafe) var last: SchedulerJob?

    var isEmpty: Bool { first == nil }

    mutating func append(_ job: SchedulerJob) {
        job.previous = last
        if let last { last.next = job } else { first = job }
        last = job
    }

    mutating func prepend(_ job: SchedulerJob) {
        job.next = first
        if let first { first.previous = job } else { last = job }
        first = job
    }

    mutating func remove(_ job: SchedulerJob) {
        if let previous = job.previous { previous.next = job.next } else { first = job.next }
        if let next = job.next { next.previous = job.previous } else { last = job.previous }
        job.next = nil
        job.previous = nil
    }

    /// All of another list, behind what is here.
    mutating func append(takenFrom other: inout JobList) {
        while let job = other.first {
            other.remove(job)
            append(job)
        }
    }
}
