// swift-tools-version: 6.0
// gpuvm: Linux's GPU virtual-memory stack in user space. docs/architecture.md explains the layers;
// a target uses only what is declared above it in this file.
import PackageDescription

/// A C target under CSources/. C17, strict; headers in include/<prefix>/.
func c(_ name: String, _ dependencies: [Target.Dependency] = [], defines: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "CSources/\(name)", cSettings: defines.map { .define($0) })
}

/// A Swift target under Sources/.
func swift(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A test target under Tests/.
func test(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    // The lock validator and what feeds it; nothing of it is in a release build.
    .define("GPUVM_VALIDATE", .when(configuration: .debug)),
]

let package = Package(
    name: "gpuvm",
    products: [
        .executable(name: "gpuvm", targets: ["GPUVMTool"]),
        .library(name: "GPUVM", targets: ["GPUVM"]),
        .library(name: "DRMExec", targets: ["DRMExec"]),
        .library(name: "NVMMU", targets: ["NVMMU"]),
        .library(name: "NouveauDevice", targets: ["NouveauDevice"]),
        .library(name: "CNouveauUAPI", targets: ["CNouveauUAPI"]),
        .library(name: "NouveauC", type: .static, targets: ["NouveauC"]),
        .library(name: "DRMShim", type: .static, targets: ["DRMShim"]),
        .library(name: "DRMLock", targets: ["DRMLock"]),
        .library(name: "DRMSync", targets: ["DRMSync"]),
        .library(name: "DRMScheduler", targets: ["DRMScheduler"]),
        .library(name: "GPUVMTrace", targets: ["GPUVMTrace"]),
        .library(name: "CGPUVM", targets: ["CGPUVM"]),
        .library(name: "CNVMMU", targets: ["CNVMMU"]),
        .library(name: "CNVEngine", targets: ["CNVEngine"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
    ],
    targets: [
        // What Swift's own module of libc leaves out: memfd_create, eventfd, two constants.
        .systemLibrary(name: "CMemfd", path: "CSources/CMemfd"),

        // System libraries. Only the program links libbsd; zlib is for traces, read and written.
        .systemLibrary(name: "CBSD", path: "CSources/CBSD", providers: [.apt(["libbsd-dev"])]),
        .systemLibrary(name: "CZlib", path: "CSources/CZlib", providers: [.apt(["zlib1g-dev"])]),

        // The C core.
        c("CGPUVMBase"),
        c("CNouveauUAPI"),
        c("CUserMemory"),
        c("CNouveauC"),
        c("CGPUVM", ["CGPUVMBase"]),
        c("CNVMMU", ["CGPUVMBase"]),
        c("CNVEngine", ["CGPUVMBase", "CNVMMU"]),

        // Swift on top.
        swift("KernelErrno", []),
        swift("DRMLock", ["KernelErrno"]),
        swift("DRMSync", ["KernelErrno", "DRMLock"]),
        swift("DRMScheduler", ["KernelErrno", "DRMLock", "DRMSync"]),
        swift("DRMExec", ["KernelErrno", "DRMLock", "DRMSync"]),
        swift("NVMMU", ["KernelErrno", "CGPUVMBase", "CNVMMU"]),
        swift("GPUVM", ["KernelErrno", "CGPUVMBase", "CGPUVM", "DRMLock", "DRMSync", "DRMExec"]),
        swift("NouveauUAPI", ["KernelErrno", "CNouveauUAPI", "CUserMemory"]),
        swift(
            "NouveauDevice",
            [
                "KernelErrno", "DRMLock", "DRMSync", "DRMScheduler", "DRMExec", "CGPUVMBase", "CGPUVM", "CNVMMU", "CNVEngine",
                "NVMMU", "GPUVM", "NouveauUAPI", "CNouveauUAPI", "CMemfd", "CZlib",
            ]),
        swift("CObjects", []),
        swift("NouveauC", ["KernelErrno", "DRMLock", "NouveauDevice", "CNouveauC", "CObjects"]),
        // Stands in front of libc's functions wherever it is linked: only `make shim` does.
        c("CDRMShim", defines: ["_GNU_SOURCE"]),
        swift("DRMShim", ["KernelErrno", "DRMLock", "DRMSync", "NouveauDevice", "CDRMShim", "CObjects", "CMemfd"]),
        swift("JSONLines", ["CZlib"]),
        swift("GPUVMTrace", ["KernelErrno", "GPUVM", "NVMMU", "NouveauUAPI", "CNouveauUAPI", "NouveauDevice", "JSONLines"]),
        swift("GPUVMConform", ["KernelErrno", "DRMLock", "DRMSync", "DRMExec", "GPUVM", "NVMMU", "JSONLines"]),
        .executableTarget(
            name: "GPUVMTool",
            dependencies: [
                "KernelErrno", "DRMLock", "GPUVM", "NVMMU", "NouveauUAPI", "NouveauDevice", "JSONLines",
                "GPUVMTrace", "GPUVMConform", "CBSD",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),

        // Tests.
        .target(name: "Model", path: "Tests/Model"),
        .target(name: "GateSupport", dependencies: ["DRMLock", "KernelErrno"], path: "Tests/GateSupport"),
        .target(name: "TraceSupport", dependencies: ["CZlib"], path: "Tests/TraceSupport"),
        .target(
            name: "IoctlFuzz",
            dependencies: [
                "CGPUVMBase", "CNouveauUAPI", "DRMLock", "GPUVM", "KernelErrno", "Model", "NVMMU", "NouveauDevice",
                "NouveauUAPI",
            ],
            path: "Tests/IoctlFuzz"),
        test("DRMLockTests", ["DRMLock", "KernelErrno", "GateSupport", "Model"]),
        test("DRMSyncTests", ["DRMSync", "DRMLock", "KernelErrno", "GateSupport", "Model"]),
        test("DRMSchedulerTests", ["DRMScheduler", "DRMSync", "DRMLock", "KernelErrno"]),
        test("DRMExecTests", ["DRMExec", "DRMSync", "DRMLock", "KernelErrno", "GateSupport", "Model"]),
        test("JSONLinesTests", ["JSONLines"]),
        test("GPUVMTests", ["GPUVM", "DRMExec", "DRMSync", "DRMLock", "KernelErrno", "GateSupport", "Model"]),
        test("NVMMUTests", ["NVMMU", "KernelErrno", "Model"]),
        test("GPUVMConformTests", ["GPUVMConform", "JSONLines", "KernelErrno", "NVMMU"]),
        test("NouveauUAPITests", ["NouveauUAPI", "CNouveauUAPI", "KernelErrno"]),
        test(
            "NouveauDeviceTests",
            [
                "NouveauDevice", "NouveauUAPI", "CNouveauUAPI", "GPUVM", "NVMMU", "DRMSync", "DRMLock", "KernelErrno",
                "GPUVMTrace", "JSONLines", "GateSupport", "IoctlFuzz", "Model", "TraceSupport",
            ]),
        .executableTarget(name: "FuzzIoctl", dependencies: ["IoctlFuzz"], path: "Tests/FuzzIoctl"),
        test("GPUVMTraceTests", ["GPUVMTrace", "DRMLock", "GPUVM", "NVMMU", "NouveauDevice", "JSONLines", "TraceSupport", "Model"]),
        test("GPUVMToolTests", ["GPUVMTool", "TraceSupport"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c17
)
