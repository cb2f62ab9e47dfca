internal import Foundation

/// A JSON object of one line, read by typed look-ups whose errors name the place and the field.
public struct JSONObject {
    public let place: Place
    /// Names of the fields that lead here, with a trailing dot; for messages.
    let path: String
    let members: [String: Any]

    /// An error about a field of this object.
    public func error(_ key: String, _ message: String) -> InputError {
        place.error("field \"\(path)\(key)\" \(message)")
    }

    /// - Throws: when a field has a name that is not in the list.
    public func allowOnly(_ keys: Set<String>) throws(InputError) {
        for key in members.keys.sorted() where !keys.contains(key) {
            throw place.error("unknown field \"\(path)\(key)\"")
        }
    }

    public func has(_ key: String) -> Bool {
        members[key] != nil
    }

    /// The field is there and null.
    public func isNull(_ key: String) -> Bool {
        members[key] is NSNull
    }

    private func value(_ key: String) throws(InputError) -> Any {
        guard let value = members[key] else { throw error(key, "is missing") }
        return value
    }

    private func convert<T>(_ key: String, _ what: String, _ body: (Any) -> T?) throws(InputError) -> T {
        guard let result = body(try value(key)) else { throw error(key, "is not \(what)") }
        return result
    }
}

// MARK: - Scalars

extension JSONObject {
    public func string(_ key: String) throws(InputError) -> String {
        try convert(key, "a string") { $0 as? String }
    }

    /// A number without a fraction.
    public func int(_ key: String) throws(InputError) -> Int {
        try convert(key, "an integer", Self.int)
    }

    /// 0 when the field is absent.
    public func int(_ key: String, default: Int) throws(InputError) -> Int {
        has(key) ? try int(key) : `default`
    }

    public func uint32(_ key: String) throws(InputError) -> UInt32 {
        try convert(key, "a 32-bit unsigned integer") { Self.int($0).flatMap { UInt32(exactly: $0) } }
    }

    /// 0 or 1.
    public func flag(_ key: String) throws(InputError) -> Bool {
        try convert(key, "0 or 1") { value in
            switch Self.int(value) {
            case 0: false
            case 1: true
            default: nil
            }
        }
    }

    /// A string of hex digits, with or without `0x`.
    public func hex(_ key: String) throws(InputError) -> UInt64 {
        try convert(key, "a string of hex digits", Self.hex)
    }

    static func int(_ value: Any) -> Int? {
        // JSON's true and false arrive as numbers too, but are no integers here.
        guard let number = value as? NSNumber, !(value is Bool && isBoolean(number)) else { return nil }
        return Int(exactly: number)
    }

    private static func isBoolean(_ number: NSNumber) -> Bool {
        String(cString: number.objCType) == "c"
    }

    static func hex(_ value: Any) -> UInt64? {
        guard let text = value as? String else { return nil }
        let digits = text.hasPrefix("0x") ? text.dropFirst(2) : text[...]
        guard let first = digits.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else { return nil }
        return UInt64(digits, radix: 16)
    }
}

// MARK: - Objects and arrays

extension JSONObject {
    public func object(_ key: String) throws(InputError) -> JSONObject {
        let members: [String: Any] = try convert(key, "an object") { $0 as? [String: Any] }
        return JSONObject(place: place, path: "\(path)\(key).", members: members)
    }

    public func objects(_ key: String) throws(InputError) -> [JSONObject] {
        let list: [Any] = try convert(key, "an array") { $0 as? [Any] }
        var objects: [JSONObject] = []
        objects.reserveCapacity(list.count)
        for (i, element) in list.enumerated() {
            guard let members = element as? [String: Any] else { throw error("\(key)[\(i)]", "is not an object") }
            objects.append(JSONObject(place: place, path: "\(path)\(key)[\(i)].", members: members))
        }
        return objects
    }

    /// An array of any elements.
    public func array(_ key: String) throws(InputError) -> JSONArray {
        JSONArray(
            place: place, path: "\(path)\(key)", elements: try convert(key, "an array") { $0 as? [Any] })
    }
}

/// A JSON array of mixed elements, read by position.
public struct JSONArray {
    public let place: Place
    let path: String
    let elements: [Any]

    public var count: Int { elements.count }

    /// An error about one element.
    public func error(_ index: Int, _ message: String) -> InputError {
        place.error("field \"\(path)[\(index)]\" \(message)")
    }

    private func convert<T>(_ index: Int, _ what: String, _ body: (Any) -> T?) throws(InputError) -> T {
        guard index < elements.count else { throw error(index, "is missing") }
        guard let result = body(elements[index]) else { throw error(index, "is not \(what)") }
        return result
    }

    public func string(_ index: Int) throws(InputError) -> String {
        try convert(index, "a string") { $0 as? String }
    }

    public func int(_ index: Int) throws(InputError) -> Int {
        try convert(index, "an integer", JSONObject.int)
    }

    public func hex(_ index: Int) throws(InputError) -> UInt64 {
        try convert(index, "a string of hex digits", JSONObject.hex)
    }

    public func array(_ index: Int) throws(InputError) -> JSONArray {
        JSONArray(
            place: place, path: "\(path)[\(index)]", elements: try convert(index, "an array") { $0 as? [Any] })
    }

    public func isNull(_ index: Int) -> Bool {
        index < elements.count && elements[index] is NSNull
    }

    /// Every element through `body`.
    public func map<T>(_ body: (JSONArray, Int) throws(InputError) -> T) throws(InputError) -> [T] {
        var result: [T] = []
        result.reserveCapacity(count)
        for i in 0..<count {
            result.append(try body(self, i))
        }
        return result
    }
}
