internal import GPUVM
internal import KernelErrno
internal import NVMMU
internal import NouveauUAPI

/// One VM_BIND call, in nouveau's phases.
///
/// - `submit` changes the VA space, takes page-table references and makes new regions sparse: all of the call's
///   operations or none. Undone in reverse, from one log.
/// - `run` writes page table entries and nothing else; it allocates nothing.
/// - `cleanUp` drops references and regions, lets victims and objects go.
///
/// `run` writes the outcome of the whole job: what was removed is cleared first, then what this job mapped and is
/// still there is written. States in between, which the kernel does write, can be seen by nobody who waits for the
/// job.
///
/// **Page sizes.** A mapping has pages of one size and one reference on each. Where a map replaces pages of its own
/// size it inherits their references; what has another size is cleared and put like something unmapped, and the map
/// takes its own. An entry of a large page cannot be cleared in part, so a mapping that is cut inside a page is
/// *demoted* first: it gets the same translation in smaller pages. (The kernel leaves such a hole mapped.)
final class BindJob {
    let uvmm: UVMM
    let sequence: UInt32
    /// Holds the victims until `cleanUp`.
    var list = OperationList()

    /// What was taken out of the space and passes on no references: to clear in `run`, to put in `cleanUp`. The page
    /// size is in the victim's state.
    struct Clear {
        let victim: Mapping
        let addr, range: UInt64
    }
    var clears: [Clear] = []

    /// A mapping that got smaller pages; the references of the larger ones are put in `cleanUp`.
    struct Demotion {
        let mapping: Mapping
        let from, to: Int
    }
    var demotions: [Demotion] = []

    /// Mappings this job made, those it removed again included.
    var made: [MappingID] = []
    /// Regions it removes.
    var removedRegions: [SparseRegion] = []

    /// How to take back what was done, youngest last.
    enum Undo {
        case space(from: Int)
        case references(addr: UInt64, range: UInt64, shift: Int)
        case demotion(Demotion)
        case region(SparseRegion)
        case dirty(addr: UInt64)
    }
    var undo: [Undo] = []

    init(_ uvmm: UVMM, sequence: UInt32) {
        self.uvmm = uvmm
        self.sequence = sequence
    }
}

// MARK: - Run and clean-up

extension BindJob {
    func run() {
        uvmm.tables.beginBatch()
        for clear in clears {
            uvmm.clear(clear.addr, clear.range, uvmm.state(of: clear.victim.id))
        }
        for id in made where !uvmm.state(of: id).isGone {
            uvmm.write(uvmm.space.mapping(id)!)
        }
        uvmm.tables.endBatch()
    }

    func cleanUp() {
        uvmm.tables.beginBatch()
        for demotion in demotions {
            uvmm.put(demotion.mapping.addr, demotion.mapping.range, demotion.from)
        }
        for clear in clears {
            uvmm.put(clear.addr, clear.range, uvmm.state(of: clear.victim.id).pageShift)
        }
        for region in removedRegions {
            uvmm.putSparse(region)
        }
        uvmm.tables.endBatch()
        releaseVictims()
    }

    private func releaseVictims() {
        var unmapped: [PairID] = []
        for i in 0..<list.count {
            guard let pair = list[i].victim?.pair, pair != unmapped.last, uvmm.space.linkCount(pair) == 0 else { continue }
            unmapped.append(pair)
        }
        uvmm.space.commit(&list)
        for pair in unmapped { uvmm.releaseIfUnmapped(pair) }
    }
}

extension Operation {
    /// The mapping that goes, or is replaced by what is left of it; `nil`: nothing goes.
    var victim: Mapping? {
        switch self {
        case .unmap(let victim, _), .remap(let victim, _, _, _): victim
        default: nil
        }
    }

    /// What goes of the victim.
    var hole: (addr: UInt64, range: UInt64)? {
        guard case .remap(let victim, let prev, let next, _) = self else { return victim.map { ($0.addr, $0.range) } }
        let start = prev.map { $0.addr + $0.range } ?? victim.addr
        return (start, (next?.addr ?? victim.end) - start)
    }
}

// MARK: - Page table entries

extension UVMM {
    /// Writes a mapping's entries. Where the MMU refuses (a kind it does not have), the kernel drops the error and
    /// leaves nothing mapped.
    func write(_ mapping: Mapping) {
        guard let object = object(behind: mapping) else { return }
        let state = state(of: mapping.id)
        var attributes = MapAttributes(target: object.placement.target, objectShift: object.pageShift)
        attributes.kind = state.kind
        attributes.vol = attributes.target != .vram
        do throws(KernelErrno) {
            try tables.map(
                mapping.addr, mapping.range, shift: state.pageShift, pieces: object.placement.pieces,
                offset: mapping.offset, attributes)
        } catch {
            clear(mapping.addr, mapping.range, state)
        }
    }

    /// Writes the entries of what is mapped in a range once more.
    func rewrite(_ addr: UInt64, _ range: UInt64) {
        var mappings: [Mapping] = []
        space.forEach(addr, range) { (mapping: Mapping) in mappings.append(mapping) }
        for mapping in mappings where mapping.id != .kernel { write(mapping) }
    }

    /// The three below cannot fail on what holds references, which is all they are called for.
    func clear(_ addr: UInt64, _ range: UInt64, _ state: MappingState) {
        try? tables.unmap(addr, range, shift: state.pageShift, sparse: state.inRegion)
    }

    func put(_ addr: UInt64, _ range: UInt64, _ shift: Int) {
        try? tables.put(addr, range, shift: shift)
    }

    func putSparse(_ region: SparseRegion) {
        sparse.remove(region.addr)
        try? tables.putSparse(region.addr, region.range)
    }
}
