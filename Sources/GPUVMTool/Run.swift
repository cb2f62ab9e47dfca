internal import ArgumentParser
internal import Foundation
internal import NouveauDevice

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a program on the simulated GPU: Vulkan, through Mesa's NVK driver, or anything that uses nouveau.",
        discussion: """
            Sets what the library libgpuvm-drm-shim.so and the driver want to find in the environment, and keeps what is \
            set there already. Exit status: that of the program, or 128 + the number of the signal that ended it; 126: it \
            could not be started, 127: there is no such program.
            """)

    @Option(help: ArgumentHelp("The GPU's chip (hex; default: NOUVEAU_CHIPSET, or 172).", valueName: "chipset"))
    var chipset: ChipsetNumber?

    @Option(help: ArgumentHelp("Size of its memory: 64M, 3G (default: GPUVM_VRAM, or 3G).", valueName: "size"))
    var vram: ByteCount?

    @Option(help: ArgumentHelp("Write what the driver asks of the kernel to this file; %p is the process.", valueName: "file"))
    var record: String?

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The program and its arguments.", valueName: "command"))
    var command: [String]

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("no program: gpuvm run -- vulkaninfo") }
        let chip = try chipset?.chip()
        var options = DeviceOptions()
        if let vram { options.vram = vram.value }
        do throws(DeviceError) {
            _ = try Device(chipset: chip?.chipset ?? 0x172, options: options)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() throws {
        guard let shim = ShimFiles.library else {
            complain("gpuvm: libgpuvm-drm-shim.so is not there: \"make shim\" builds it")
            throw ExitCode(1)
        }
        var environment = ProcessInfo.processInfo.environment
        environment["LD_PRELOAD"] = [shim, environment["LD_PRELOAD"]].compactMap { $0 }.joined(separator: ":")
        if let chipset { environment["NOUVEAU_CHIPSET"] = String(chipset.value, radix: 16) }
        if let vram { environment["GPUVM_VRAM"] = "\(vram.value)" }
        if let record { environment["GPUVM_RECORD"] = record }
        addDriver(to: &environment)
        throw ExitCode(try ChildProcess(command, environment).wait())
    }

    /// The Vulkan driver: its manifest, unless drivers are named already, and its leave to run on chips that it was not
    /// tested with for conformance.
    private func addDriver(to environment: inout [String: String]) {
        environment["NVK_I_WANT_A_BROKEN_VULKAN_DRIVER"] = environment["NVK_I_WANT_A_BROKEN_VULKAN_DRIVER"] ?? "1"
        guard environment["VK_DRIVER_FILES"] == nil, environment["VK_ICD_FILENAMES"] == nil else { return }
        guard let manifest = ShimFiles.driverManifest(environment) else {
            complain("gpuvm: no Vulkan driver: nouveau_icd*.json is in none of the vulkan/icd.d folders (Debian: mesa-vulkan-drivers)")
            return
        }
        environment["VK_DRIVER_FILES"] = manifest
        environment["VK_ICD_FILENAMES"] = manifest
    }
}
