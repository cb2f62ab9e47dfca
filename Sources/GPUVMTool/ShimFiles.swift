internal import Foundation
internal import Glibc

/// Where the preload library and NVK's manifest are.
enum ShimFiles {
    private static let libraryName = "libgpuvm-drm-shim.so"

    /// Beside the program, in the `lib` folder beside its own, or where `make shim` puts it. `nil`: nowhere.
    static var library: String? {
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        var folder = program.deletingLastPathComponent()
        var places = [folder]
        for _ in 0..<4 {
            folder.deleteLastPathComponent()
            places += [folder.appendingPathComponent("lib"), folder.appendingPathComponent("build")]
        }
        return places.map { $0.appendingPathComponent(libraryName).path }.first(where: exists)
    }

    /// As the Vulkan loader looks for it.
    static func driverManifest(_ environment: [String: String]) -> String? {
        func folders(_ name: String, _ otherwise: String) -> [String] {
            let value = environment[name] ?? ""
            return (value.isEmpty ? otherwise : value).split(separator: ":").map(String.init)
        }
        let home = environment["HOME"] ?? ""
        let places =
            folders("XDG_CONFIG_HOME", home + "/.config") + folders("XDG_CONFIG_DIRS", "/etc/xdg") + ["/etc"]
            + folders("XDG_DATA_HOME", home + "/.local/share") + folders("XDG_DATA_DIRS", "/usr/local/share:/usr/share")
        for place in places {
            let folder = place + "/vulkan/icd.d"
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            if let name = names.sorted().first(where: isManifest) { return folder + "/" + name }
        }
        return nil
    }

    /// For this machine's processors: Debian has one name for all, others one for each.
    private static func isManifest(_ name: String) -> Bool {
        ["nouveau_icd.json", "nouveau_icd.\(machine).json"].contains(name)
    }

    private static var machine: String {
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: names.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func exists(_ path: String) -> Bool { access(path, R_OK) == 0 }
}
