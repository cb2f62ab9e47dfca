import Foundation
import Testing

/// `make shim` comes first: without the library these fail.
@Suite struct RunCommandTests {
    @Test("the end is the program's: its code, or 128 + its signal") func status() throws {
        #expect(try gpuvm("run", "--", "sh", "-c", "exit 7").status == 7)
        #expect(try gpuvm("run", "--", "sh", "-c", "kill -KILL $$").status == 128 + SIGKILL)
    }

    @Test("a signal of the terminal that is ignored stays so for the program, another ends it") func ignored() throws {
        func status(ignoring signals: String...) throws -> Int32 {
            // The first option also lets through what the test's thread may have blocked.
            let environment = ["env", "--default-signal=INT,QUIT"] + signals.map { "--ignore-signal=\($0)" }
            let ends = ["sh", "-c", "kill -INT $$; kill -QUIT $$; exit 7"]
            return try gpuvm(["run", "--"] + environment + [program, "run", "--"] + ends).status
        }
        #expect(try status(ignoring: "INT", "QUIT") == 7)
        #expect(try status(ignoring: "INT") == 128 + SIGQUIT)
        #expect(try status() == 128 + SIGINT)
    }

    @Test("what cannot be started, and wrong usage") func bad() throws {
        let none = try gpuvm("run", "--", "/no/such/program")
        #expect(none.status == 127 && none.errors.contains("gpuvm: /no/such/program: No such file"))
        #expect(try gpuvm("run", "--", "/etc/passwd").status == 126)
        for arguments in [["run"], ["run", "--"], ["run", "--chipset", "7ff", "--", "true"], ["run", "--vram", "5", "--", "true"]] {
            let run = try gpuvm(arguments)
            #expect(run.status == 64 && run.output.isEmpty && !run.errors.isEmpty, "\(arguments)")
        }
    }

    @Test("the program finds what it needs in the environment, beside what was there") func environment() throws {
        let run = try gpuvm("run", "--chipset", "0x164", "--vram", "64M", "--record", "t-%p", "--", "env")
        let lines = Set(run.output.split(separator: "\n"))
        #expect(run.status == 0)
        #expect(lines.isSuperset(of: ["NOUVEAU_CHIPSET=164", "GPUVM_VRAM=67108864", "GPUVM_RECORD=t-%p"]))
        let twice = try gpuvm("run", "--", "env", "LD_PRELOAD=libm.so.6", "VK_DRIVER_FILES=x", program, "run", "--", "env")
        let preload = twice.output.split(separator: "\n").first { $0.hasPrefix("LD_PRELOAD=") }
        #expect(preload?.hasSuffix("libgpuvm-drm-shim.so:libm.so.6") == true)
        #expect("\n\(twice.output)".contains("\nVK_DRIVER_FILES=x\n"))
    }

    @Test("it sees the GPU") func device() throws {
        let run = try gpuvm("run", "--chipset", "134", "--", "cat", "/sys/dev/char/226:128/device/device")
        #expect(run.status == 0 && run.output == "0x2134\n")
    }

    private var program: String {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path + "/gpuvm"
    }
}
