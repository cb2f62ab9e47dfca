@testable import NouveauDevice
import Testing

@Suite("Values in a row") struct BatchTests {
    @Test("grows, keeps the order, gives the last back")
    func growth() {
        var batch = Batch<Int>(capacity: 1)
        for i in 0..<100 { batch.append(i) }
        let all = Array(batch.elements), last = batch.popLast(), count = batch.count
        #expect(all == Array(0..<100) && last == 99 && count == 99)
    }

    @Test("what is emptied keeps its memory")
    func memory() {
        var batch = Batch<Int>()
        batch.reserve(50)
        let capacity = batch.capacity, base = batch.elements.baseAddress
        for i in 0..<50 { batch.append(i) }
        batch.removeAll()
        let isSame = batch.isEmpty && batch.capacity == capacity && batch.elements.baseAddress == base
        let nothing = batch.popLast()
        #expect(isSame && nothing == nil)
    }

    @Test("what is taken out leaves the others in order")
    func removal() {
        var batch = Batch<Int>()
        for i in 0..<10 { batch.append(i) }
        batch.removeAll { $0 % 3 == 0 }
        batch[0] = -1
        let left = Array(batch.elements)
        #expect(left == [-1, 2, 4, 5, 7, 8])
    }

    @Test("room is the caller's to write")
    func room() {
        var batch = Batch<UInt64>(capacity: 1)
        batch.append(7)
        let room = batch.makeRoom(for: 2)
        let size = room.count
        (room[0], room[1]) = (8, 9)
        let all = Array(batch.elements)
        #expect(size == 2 && all == [7, 8, 9])
    }
}
