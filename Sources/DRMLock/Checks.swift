/// Where a call stands, for reports.
public struct Site: Sendable, CustomStringConvertible {
    public let file: StaticString
    public let line: UInt32

    @inlinable public init(_ file: StaticString, _ line: UInt32) {
        self.file = file
        self.line = line
    }

    public var description: String { "\(file):\(line)" }
}

// What code says of itself to the lock validator. Without the validator (release builds) nothing is left of it.
extension Gate {
    /// Between this and ``endSignalling(_:_:)`` the caller does what some fence's signalling depends on: nothing there
    /// may wait for a fence, take a lock that is held over such waits, or allocate (`dma_fence_begin_signalling`).
    /// Nests.
    @inlinable public final func beginSignalling(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        validator.took(.signalling, nil, ticket: nil, gate: self, file, line)
        #endif
    }

    @inlinable public final func endSignalling(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        validator.gave(.signalling, nil, gate: self, file, line)
        #endif
    }

    /// The caller may wait for a fence here, whether or not it does now.
    @inlinable public final func mightWait(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        validator.might(.fenceWait, gate: self, file, line)
        #endif
    }

    /// The caller may allocate here, in a way that would wait for memory to be freed.
    @inlinable public final func mightAllocate(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        validator.might(.allocation, gate: self, file, line)
        #endif
    }

    /// Says in which order classes are taken, the outermost first, before anybody has done so. ``LockClass/fenceWait``
    /// and ``LockClass/allocation`` may stand at its end: the last lock is held over these.
    @inlinable
    public final func declareOrder(
        _ classes: [LockClass], _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) {
        #if GPUVM_VALIDATE
        validator.declare(classes, Site(file, line), gate: self)
        #endif
    }
}
