/// A mistake that the lock validator found: something that can deadlock, whether or not it did.
public struct Violation: Sendable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// Two lock classes are taken in both orders, maybe by way of others.
        case inversion
        /// One lock is taken twice by the same actor.
        case recursion
        /// A fence is waited for where some fence's signalling depends on it.
        case waitInSignalling
        /// A lock that is somewhere held over waits for fences is taken where some fence's signalling depends on it.
        case lockInSignalling
        /// Memory is allocated, which may wait for fences, where some fence's signalling depends on it.
        case allocationInSignalling
        /// A second ww lock is taken with none, though one is held.
        case withoutTicket
        /// ww locks of one class are taken with two tickets at once.
        case twoTickets
        /// A ticket takes a lock after it said that it would take no more, or after its end.
        case finishedTicket
        /// A ticket ends, or begins anew, while it holds locks.
        case ticketHoldsLocks
        /// A ww lock is taken the slow way by a ticket that holds others.
        case slowlyWithLocks
        /// A lock is let go, a section ended, or said to be held, by who does not have it.
        case notHeld
        /// An actor or a work item's run ends with a lock or in a section.
        case heldAtEnd
        /// A lock that others wait for parked is taken by a work item that may not park.
        case mayNotPark
    }

    public let kind: Kind
    public let text: String
    /// What it is in conflict with: where that was done, held or declared.
    public let first: Site
    /// Where it was found.
    public let second: Site

    public var description: String { "\(text)\n  at \(second)\n  against \(first)" }
}
