/// The classes of engine objects a chip's channels offer, as Linux 7.2 lists them: what SCLASS answers, and the
/// place where engines will hang.
struct EngineClasses {
    /// Graphics, compute, 2D, inline copy.
    let graphics: [UInt16]
    /// Copy engines.
    let copy: [UInt16]

    init(chipset: Int) {
        (graphics, copy) =
            switch chipset {
            case 0x130, 0x13b: ([0x902d, 0xa140, 0xc097, 0xc0c0], [0xc0b5])
            case 0x132...0x138: ([0x902d, 0xa140, 0xc197, 0xc1c0], [0xc1b5, 0xc0b5])
            case 0x140: ([0x902d, 0xa140, 0xc397, 0xc3c0], [0xc3b5])
            case 0x160...0x168: ([0x902d, 0xa140, 0xc597, 0xc5c0], [0xc5b5])
            case 0x170: ([], [0xc6b5])
            case 0x172...0x177: ([0x902d, 0xa140, 0xc797, 0xc7c0], [0xc7b5, 0xc6b5])
            case 0x190...0x197: ([0x902d, 0xa140, 0xc997, 0xc9c0], [0xc7b5])
            default: ([], [])
            }
    }

    /// What a channel of a run list offers: the graphics one has copy engines of its own.
    func offered(copyOnly: Bool) -> [UInt16] {
        copyOnly ? copy : graphics + copy
    }
}
