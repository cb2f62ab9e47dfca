internal import Glibc

/// Finds the pair of an object and a VM, however many VMs the object is in: chains of pairs, by a hash of the VM.
/// Guarded by what guards the object's list of pairs. Without memory for more chains they only grow longer.
struct VMBOIndex {
    private typealias Chain = Unmanaged<VMBO>?

    private let chains: UnsafeMutablePointer<Chain>
    private let shift: UInt64
    let capacity: Int

    /// `nil`: no memory.
    /// - Parameter capacity: a power of two, 2 at least.
    init?(capacity: Int, allocate: (Int) -> UnsafeMutableRawPointer?) {
        guard let memory = allocate(capacity * MemoryLayout<Chain>.stride) else { return nil }
        chains = memory.bindMemory(to: Chain.self, capacity: capacity)
        chains.initialize(repeating: nil, count: capacity)
        shift = UInt64(64 - capacity.trailingZeroBitCount)
        self.capacity = capacity
    }

    func deallocate() { free(chains) }

    private func chain(of vm: VM) -> UnsafeMutablePointer<Chain> {
        let hash = UInt64(UInt(bitPattern: Unmanaged.passUnretained(vm).toOpaque())) &* 0x9e37_79b9_7f4a_7c15
        return chains + Int(truncatingIfNeeded: hash >> shift)
    }

    func find(_ vm: VM) -> VMBO? {
        var next = chain(of: vm).pointee
        while let vmBO = next {
            let (isIt, after) = vmBO._withUnsafeGuaranteedRef { ($0.vm === vm, $0.nextInChain) }
            if isIt { return vmBO.takeUnretainedValue() }
            next = after
        }
        return nil
    }

    func insert(_ vmBO: VMBO) {
        let chain = chain(of: vmBO.vm)
        vmBO.nextInChain = chain.pointee
        chain.pointee = .passUnretained(vmBO)
    }

    func remove(_ vmBO: VMBO) {
        let chain = chain(of: vmBO.vm)
        guard let first = chain.pointee else { return }
        var previous = first.takeUnretainedValue()
        if previous === vmBO {
            chain.pointee = vmBO.nextInChain
            return
        }
        while let next = previous.nextInChain?.takeUnretainedValue() {
            if next === vmBO {
                previous.nextInChain = vmBO.nextInChain
                return
            }
            previous = next
        }
    }
}
