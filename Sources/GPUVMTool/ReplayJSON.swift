internal import Foundation
internal import GPUVMTrace
internal import NVMMU

extension ReplayReport {
    /// One object in one line; docs: the `replay` command.
    var json: String {
        let fields = Fields(
            trace: trace, chipset: hex(chip.chipset), lines: lines,
            ioctls: Dictionary(uniqueKeysWithValues: calls.map { ($0.key.rawValue, $0.value) }), bind_ops: binds.ops,
            ret_mismatches: answerMismatches, vm_state_checked: statesChecked, vm_state_mismatches: stateMismatches,
            mem_pages_checked: pagesChecked, mem_page_mismatches: pageMismatches, mem_pages_skipped: pagesSkipped,
            faults: faults.count, mappings: mostMappings.count,
            page_tables: Dictionary(uniqueKeysWithValues: pageTables.map { ($0.key.name, $0.value) }),
            bytes_copied: device.bytesCopied)
        return encodeJSON(fields)
    }

    private struct Fields: Encodable {
        var trace, chipset: String
        var lines: Int
        var ioctls: [String: Int]
        var bind_ops, ret_mismatches, vm_state_checked, vm_state_mismatches: Int
        var mem_pages_checked, mem_page_mismatches, mem_pages_skipped, faults, mappings: Int
        var page_tables: [String: Int]
        var bytes_copied: UInt64
    }
}

/// The same text for the same value every time.
func encodeJSON(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings, numbers and dictionaries of them can always be encoded.
    return String(decoding: try! encoder.encode(value), as: UTF8.self)
}
