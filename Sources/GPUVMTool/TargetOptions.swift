internal import ArgumentParser
internal import DRMLock
internal import GPUVMTrace
internal import JSONLines
internal import NVMMU
internal import NouveauDevice

/// The device to replay on.
struct TargetOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Replay on this chip (hex) in place of the recorded one.", valueName: "chipset"))
    var chipset: ChipsetNumber?

    @Option(help: ArgumentHelp("Size of the simulated GPU's memory: 64M, 3G (as recorded: 3G).", valueName: "size"))
    var vram: ByteCount?

    /// Refuses what no trace can make right.
    func validate() throws {
        let chip = try chipset?.chip()
        guard let vram, let chipset = chip?.chipset ?? Chip.all.last?.chipset else { return }
        do throws(DeviceError) {
            _ = try Device(chipset: chipset, options: options(vram))
        } catch {
            throw ValidationError("--vram: \(error)")
        }
    }

    /// - Throws: at the header's line, when no such chip is known.
    func makeDevice(for trace: Trace, gate: Gate? = nil) throws(InputError) -> Device {
        do throws(DeviceError) {
            return try Device(chipset: chipset?.value ?? trace.header.chipset, options: options(vram), gate: gate)
        } catch {
            throw InputError(file: trace.file, line: 1, message: "\(error)")
        }
    }

    private func options(_ vram: ByteCount?) -> DeviceOptions {
        var options = DeviceOptions()
        if let vram { options.vram = vram.value }
        return options
    }
}
