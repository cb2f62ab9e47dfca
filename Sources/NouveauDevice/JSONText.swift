/// JSON as it is put together, without Foundation. Numbers of 64 bits are texts, "0x…", as in the traces.
struct JSONText {
    private(set) var bytes: [UInt8] = []

    /// One whole object.
    init(_ body: (inout JSONText) -> Void = { _ in }) {
        bytes.reserveCapacity(256)
        bytes.append(UInt8(ascii: "{"))
        body(&self)
        bytes.append(UInt8(ascii: "}"))
    }

    // MARK: Members of an object

    mutating func number(_ key: StaticString, _ value: some BinaryInteger) {
        name(key)
        append(decimal: Int64(value))
    }

    mutating func hex(_ key: StaticString, _ value: some BinaryInteger) {
        name(key)
        append(hex: UInt64(value))
    }

    mutating func text(_ key: StaticString, _ value: String) {
        name(key)
        append(value.utf8)
    }

    mutating func text(_ key: StaticString, _ value: StaticString) {
        name(key)
        append(value)
    }

    /// Bytes in hex.
    mutating func data(_ key: StaticString, _ value: some Sequence<UInt8>) {
        name(key)
        append(data: value)
    }

    /// An object that is already put together.
    mutating func object(_ key: StaticString, _ value: JSONText) {
        name(key)
        bytes += value.bytes
    }

    mutating func array<S: Sequence>(_ key: StaticString, _ elements: S, _ body: (inout JSONText, S.Element) -> Void) {
        name(key)
        array { list in
            for element in elements { body(&list, element) }
        }
    }

    // MARK: Elements of an array

    mutating func array(_ body: (inout JSONText) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "["))
        body(&self)
        bytes.append(UInt8(ascii: "]"))
    }

    mutating func object(_ body: (inout JSONText) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "{"))
        body(&self)
        bytes.append(UInt8(ascii: "}"))
    }

    mutating func append(decimal value: Int64) {
        separate()
        bytes += String(value).utf8
    }

    mutating func append(hex value: UInt64) {
        separate()
        bytes += "\"0x".utf8
        var shift = max(0, 63 - value.leadingZeroBitCount) & ~3
        while shift >= 0 {
            bytes.append(Self.digit(UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15))
            shift -= 4
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func append(data: some Sequence<UInt8>) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        for byte in data {
            bytes.append(Self.digit(byte >> 4))
            bytes.append(Self.digit(byte & 15))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func append(_ text: StaticString) {
        append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    // MARK: -

    private mutating func name(_ key: StaticString) {
        append(key)
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func append(_ text: some Sequence<UInt8>) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: bytes += "\\u00".utf8 + [Self.digit(byte >> 4), Self.digit(byte & 15)]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// A comma, unless something has just begun. Texts end with a quote, so nothing else looks like a beginning.
    private mutating func separate() {
        switch bytes.last {
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"): break
        default: bytes.append(UInt8(ascii: ","))
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value + (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
    }
}
