/// Numbers for a file's objects: each new one gets the lowest free number, from 1.
struct HandleTable<Object> {
    private var slots: [Object?] = []
    /// No slot below is free.
    private var lowestFree = 0

    subscript(handle: UInt32) -> Object? {
        let i = Int(handle) - 1
        return slots.indices.contains(i) ? slots[i] : nil
    }

    mutating func insert(_ object: Object) -> UInt32 {
        var i = lowestFree
        while i < slots.count, slots[i] != nil { i += 1 }
        if i == slots.count { slots.append(object) } else { slots[i] = object }
        lowestFree = i + 1
        return UInt32(i + 1)
    }

    mutating func remove(_ handle: UInt32) -> Object? {
        let i = Int(handle) - 1
        guard slots.indices.contains(i), let object = slots[i] else { return nil }
        slots[i] = nil
        lowestFree = min(lowestFree, i)
        return object
    }

    func contains(where isIt: (Object) -> Bool) -> Bool {
        slots.contains { $0.map(isIt) ?? false }
    }

    mutating func removeAll() {
        slots = []
        lowestFree = 0
    }
}
