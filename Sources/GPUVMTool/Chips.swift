internal import ArgumentParser
internal import NVMMU

struct Chips: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists chips: format of the page tables, address bits, page sizes, features.")

    func run() throws {
        print("chipset  name    family     format  va bits  page sizes (s: sparse, c: compression, h: host memory too)")
        for chip in Chip.all {
            let pages = chip.format.pageSizes.filter { $0.vram || $0.host }.map { page in
                size(1 << UInt64(page.shift))
                    + (page.sparse ? "s" : "") + (page.compression ? "c" : "") + (page.host ? "h" : "")
            }
            print(
                hex(chip.chipset).padded(9) + chip.name.padded(8) + chip.family.padded(11)
                    + chip.format.name.padded(8) + "\(chip.format.vaBits)".padded(9) + pages.joined(separator: " "))
        }
    }
}
