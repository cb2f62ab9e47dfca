/// Where we knowingly differ from the kernel. The raw value is the ID of the row in docs/deviations.md, which says how
/// and why.
public enum Deviation: String, Hashable, Sendable, CaseIterable {
    case zeroRange = "ZERO-RANGE"
    case vmInitTwice = "VM-INIT-TWICE"
    case flushMerge = "FLUSH-MERGE"
    case unmapThenSparse = "UNMAP-THEN-SPARSE"
    case sizeOverlap = "SIZE-OVERLAP"
    case getOrder = "GET-ORDER"
    case doublePut = "DOUBLE-PUT"
    case mapUnreferenced = "MAP-UNREFERENCED"
    case sparseOverlap = "SPARSE-OVERLAP"
    case addrWidth = "ADDR-WIDTH"
    case rawAlign = "RAW-ALIGN"
    case sparse27On64K = "SPARSE27-64K"
    case gh100Page512M = "GH100-512M"
    case tagOffset = "TAG-OFFSET"
    case pageBlock = "PAGE-BLOCK"
    case runCut = "RUN-CUT"
    case kindWidth = "KIND-WIDTH"
    case largePageCut = "LARGE-PAGE-CUT"
    case jobOutcome = "JOB-OUTCOME"
    case legacyPushbuf = "LEGACY-PUSHBUF"
}
