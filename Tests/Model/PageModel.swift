/// The naive oracle of an address space: a dictionary of pages. Says what each page shows, and nothing about how the
/// space is cut into mappings.
public struct PageModel<Object: Hashable & Sendable>: Sendable {
    public struct Page: Hashable, Sendable {
        public var object: Object?
        /// Offset of this page in the object; meaningless without one.
        public var offset: UInt64
    }

    public private(set) var pages: [UInt64: Page] = [:]

    public init() {}

    public mutating func map(_ addr: UInt64, _ range: UInt64, _ object: Object?, _ offset: UInt64) {
        for i in 0..<range {
            pages[addr + i] = Page(object: object, offset: object == nil ? 0 : offset &+ i)
        }
    }

    public mutating func unmap(_ addr: UInt64, _ range: UInt64) {
        for page in addr..<addr + range {
            pages[page] = nil
        }
    }

    /// Nothing is in `[addr, addr + range)`.
    public func isEmpty(_ addr: UInt64, _ range: UInt64) -> Bool {
        (addr..<addr + range).allSatisfy { pages[$0] == nil }
    }
}
