import CZlib
import Glibc

/// The repository's root.
private let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()

/// A session that comes with the repository.
public func sampleTrace(_ name: String) -> String {
    "\(root)/Tests/Traces/\(name).jsonl.gz"
}

public let sampleNames = ["data_sparse_buf-0x120", "extern-0x172", "sparse_buf-0x172", "vulkaninfo-0x172"]

/// The lines of a gzipped file.
public func gzippedLines(_ path: String) -> [String] {
    guard let file = gzopen(path, "rb") else { return [] }
    defer { gzclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while case let n = gzread(file, &chunk, UInt32(chunk.count)), n > 0 {
        bytes += chunk[..<Int(n)]
    }
    return bytes.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
}

/// Further sessions, where the folder with them lies beside the repository.
public let sharedTraces: [String] = {
    guard let folder = opendir("\(root)/../shared/traces") else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasSuffix(".jsonl.gz") { names.append(name) }
    }
    return names.sorted().map { "\(root)/../shared/traces/\($0)" }
}()

/// A session as small as one can be that maps and checks something, one line an element.
public let tinyTrace = [
    #"{"op":"header","format":1,"driver":"none","chipset":"0x172","program":"tiny","device":"ref"}"#,
    #"{"n":0,"tid":1,"fd":4,"op":"VM_INIT","req":"0x40106450","in":{"kernel_managed_addr":"0x8000000000","kernel_managed_size":"0x8000000000"},"ret":0}"#,
    #"{"n":1,"tid":1,"fd":4,"op":"GEM_NEW","req":"0xc0306480","in":{"domain":38,"size":"0x20000","align":"0x1000","tile_mode":0,"tile_flags":0,"channel_hint":0},"out":{"handle":7,"domain":38,"size":"0x20000","offset":"0x0","map_handle":"0xff000"},"ret":0}"#,
    #"{"n":2,"tid":1,"fd":4,"op":"VM_BIND","req":"0xc0286451","in":{"flags":0,"ops":[{"op":"MAP","flags":256,"handle":0,"addr":"0x100000","bo_offset":"0x0","range":"0x100000"},{"op":"MAP","flags":0,"handle":7,"addr":"0x110000","bo_offset":"0x1000","range":"0x2000"}],"waits":[],"sigs":[]},"ret":0}"#,
    #"{"op":"vm_state","fd":4,"after":2,"maps":1,"sparse":1,"hash":"0x90c0252491feac15"}"#,
    #"{"n":3,"tid":1,"fd":4,"op":"GEM_CLOSE","req":"0x40086409","in":{"handle":7},"ret":0}"#,
    #"{"op":"vm_state","fd":4,"after":3,"maps":1,"sparse":1,"hash":"0x90c0252491feac15","map_list":[["0x110000","0x112000",7,"0x1000",0]],"sparse_list":[["0x100000","0x200000"]]}"#,
    #"{"n":4,"tid":1,"fd":4,"op":"close"}"#,
    #"{"op":"end","lines":5}"#,
]

extension [String] {
    /// A copy with one text replaced in the line of this number, counted from 1.
    public func editing(_ line: Int, _ old: String, _ new: String) -> [String] {
        var lines = self
        let parts = lines[line - 1].split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
        precondition(parts.count == 2, "line \(line) has no \(old)")
        lines[line - 1] = parts.joined(separator: new)
        return lines
    }

    /// A copy without the line of this number, counted from 1.
    public func dropping(_ line: Int) -> [String] {
        var lines = self
        lines.remove(at: line - 1)
        return lines
    }
}
