// swift-tools-version: 6.0
// Benchmarks of the Swift parts: a package of its own, so that nobody who builds gpuvm builds them.
import PackageDescription

let package = Package(
    name: "bench",
    dependencies: [.package(name: "gpuvm", path: "..")],
    targets: [
        .systemLibrary(name: "Peers", path: "opened"),
        .executableTarget(
            name: "sync",
            dependencies: [
                "Peers",
                .product(name: "DRMLock", package: "gpuvm"),
                .product(name: "DRMSync", package: "gpuvm"),
                .product(name: "DRMScheduler", package: "gpuvm"),
                .product(name: "DRMExec", package: "gpuvm"),
                .product(name: "GPUVM", package: "gpuvm"),
                .product(name: "NouveauDevice", package: "gpuvm"),
                .product(name: "CNouveauUAPI", package: "gpuvm"),
            ],
            path: "sync")
    ],
    swiftLanguageModes: [.v6]
)
