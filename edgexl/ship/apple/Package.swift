// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "{name}",
    platforms: [.iOS(.v15), .macOS(.v12), .tvOS(.v15), .watchOS(.v8), .visionOS(.v1)],
    products: [.library(name: "{Class}", targets: ["{Class}"])],
    targets: [
        .target(
            name: "CEdgexl",
            cSettings: [.define("NDEBUG")],
            linkerSettings: [
                .linkedLibrary("m", .when(platforms: [.linux])), .linkedLibrary("dl", .when(platforms: [.linux])),
            ]
        ),
        .target(
            name: "{Class}",
            dependencies: ["CEdgexl"],
            resources: [.copy("{file}"), .copy("PrivacyInfo.xcprivacy")]
        ),
        .testTarget(name: "{Class}Tests", dependencies: ["{Class}"], resources: [.copy("vectors.tsv")]),
    ],
    cLanguageStandard: .gnu11
)
