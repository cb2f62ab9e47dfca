import GPUVM
import KernelErrno
import Model
import Testing

/// The Swift face against the dictionary of pages. The C library's own random test (Tests/C) goes deeper.
@Suite("AddressSpace, at random") struct RandomTests {
    static let window: UInt64 = 512

    @Test("after any requests, committed or reverted, every page shows what the model says")
    func requests() throws {
        let seed = RandomTest.seed("AddressSpace requests")
        var random = SeededRandom(seed: seed)
        var space = try AddressSpace(start: 0, range: Self.window)
        let pairs = try (1...3).map { try space.makePair(cookie: $0) }
        var model = PageModel<PairID>()
        var list = OperationList()
        for round in 0..<RandomTest.rounds(20_000) {
            let before = model
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let request = Self.request(pairs, &random)
                try space.execute(request, into: &list)
                model.apply(request)
            }
            if Bool.random(using: &random) {
                space.commit(&list)
            } else {
                space.revert(&list)
                model = before
            }
            guard round % 16 == 0 else { continue }
            let (broken, pages) = (space.check(), space.pages())
            try #require(broken == nil, "round \(round)")
            try #require(pages == model.pages, "round \(round)")
        }
    }

    static func request(_ pairs: [PairID], _ random: inout SeededRandom) -> Request {
        let addr = UInt64.random(in: 0..<window, using: &random)
        let range = UInt64.random(in: 1...min(window - addr, Bool.random(using: &random) ? 8 : 200), using: &random)
        guard Int.random(in: 0..<4, using: &random) > 0 else { return .unmap(addr: addr, range: range) }
        let pair = Int.random(in: 0..<4, using: &random)
        return .map(
            addr: addr, range: range, pair: pair == 0 ? nil : pairs[pair - 1],
            offset: Bool.random(using: &random) ? addr : UInt64.random(in: 0..<64, using: &random))
    }
}

extension PageModel<PairID> {
    mutating func apply(_ request: Request) {
        switch request {
        case .map(let addr, let range, let pair, let offset): map(addr, range, pair, offset)
        case .unmap(let addr, let range): unmap(addr, range)
        case .madvise: preconditionFailure("a dictionary of pages cannot tell what madvise does")
        }
    }
}

extension AddressSpace {
    /// What every page shows, as the model has it.
    borrowing func pages() -> [UInt64: PageModel<PairID>.Page] {
        var model = PageModel<PairID>()
        forEach { model.map($0.addr, $0.range, $0.pair, $0.offset) }
        return model.pages
    }
}
