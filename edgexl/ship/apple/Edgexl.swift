// {name} {version}: {summary}, answered by edgexl. Apache-2.0.
//
//     let words = try EdgexlBundle.included()
//     let id = try words.predict({example}).labels[0].id

import CEdgexl
import Foundation

/// What the library refuses, in one sentence.
public struct EdgexlError: LocalizedError, Equatable, Sendable {
    /// Its number in edgexl.h, such as 101: the text holds no token.
    public let status: Int32
    public let sentence: String

    public var errorDescription: String? { sentence }
}

/// A label of an answer.
public struct Label: Identifiable, Hashable, Sendable {
    public let id: String
    public let text: String
    /// Calibrated: this share of such labels were right on held-out queries.
    public let probability: Float
    public let logit: Float
    /// Its number in the label set.
    public let index: UInt32
}

/// What a text was answered with.
public struct Answer: Sendable {
    /// Best first.
    public let labels: [Label]
    /// The best label is likely to be wrong.
    public let noneFits: Bool
    /// The labels have the coverage that was asked for.
    public let coverageHolds: Bool
    /// The text is longer than what was read of it.
    public let truncated: Bool
    public let tokens: UInt32
    public let windows: UInt32
    public let milliseconds: Double
}

/// Which row of a label a text was most like.
public enum FoundBy: Int32, Sendable {
    case text, alias, description
}

/// A label's way through both stages. Ranks count from 1.
public struct Explanation: Sendable {
    public let screeningRank: UInt32
    public let screeningScore: Float
    /// False: the label was lost at screening, and the reasoner did not see it.
    public let shortlisted: Bool
    public let reasonerRank: UInt32
    public let logit: Float
    public let probability: Float
    public let foundBy: FoundBy
}

/// Where a label comes from, and whether it is still in the set.
public enum LabelState: Int32, Sendable {
    case compiled, added, retired
}

/// A label of the set.
public struct ListedLabel: Identifiable, Hashable, Sendable {
    public let id: String
    public let text: String
    public let state: LabelState
}

/// Whose bundles are opened: those that one of `keys`, public keys of minisign's, has signed, as `leastVersion` or a
/// later one. `signature`: that of a bundle that does not hold it.
public struct Trust: Sendable {
    public var keys: [String]
    public var leastVersion: UInt64
    public var signature: Data

    public init(keys: [String], leastVersion: UInt64 = 0, signature: Data = Data()) {
        self.keys = keys
        self.leastVersion = leastVersion
        self.signature = signature
    }

    /// What this package was made with.
    public static let packaged = Trust(keys: [{keys}], leastVersion: {least_version})
    /// Signatures are not looked at.
    public static let anyone = Trust(keys: [])

    /// The options with these, as long as the body runs.
    func apply<Result>(_ options: inout exl_open_options, _ body: (inout exl_open_options) throws -> Result) rethrows
        -> Result
    {
        let texts = keys.map { strdup($0) }
        defer { texts.forEach { free($0) } }
        let pointers = texts.map { UnsafePointer<CChar>($0) }
        return try pointers.withUnsafeBufferPointer { trusted in
            try signature.withUnsafeBytes { signed in
                options.trusted_keys = trusted.isEmpty ? nil : trusted.baseAddress
                options.trusted_key_count = trusted.count
                options.least_version = leastVersion
                options.signature = signed.isEmpty ? nil : signed.baseAddress
                options.signature_bytes = signed.count
                return try body(&options)
            }
        }
    }
}

/// What an update did.
public struct Update: Hashable, Sendable {
    /// Of the new bundle.
    public let newBytes: UInt64
    /// Labels of the label file that were carried over.
    public let added: UInt32
    public let retired: UInt32
    /// Changes that the new bundle has, or whose label it does not have.
    public let dropped: UInt32
}

/// An open bundle. All threads share it: each call borrows a session, and there are as many as there were calls at the
/// same time. It closes with its last reference. A query takes milliseconds: off the main actor it belongs.
public final class EdgexlBundle: @unchecked Sendable {
    private let handle: OpaquePointer
    private let lock = NSLock()
    private var idle: [OpaquePointer] = []

    private init(_ handle: OpaquePointer) {
        self.handle = handle
    }

    deinit {
        idle.forEach { exl_session_close($0) }
        exl_bundle_close(handle)
    }

    /// The bundle that comes with this package, mapped. `labels`: the file that keeps changes of labels; without one
    /// they are those of the compile.
    public static func included(labels: URL? = nil) throws -> EdgexlBundle {
        guard let place = Foundation.Bundle.module.url(forResource: "{name}", withExtension: "exl") else {
            throw EdgexlError(status: Int32(EXL_FILE_UNREADABLE.rawValue), sentence: "{file} is not in the app")
        }
        return try EdgexlBundle.open(place, labels: labels, compiledOnly: labels == nil)
    }

    /// Open a file, which must not be written to while it is open. `verify`: check the hash of every section; `copy`:
    /// read it into memory instead of mapping it; `compiledOnly`: pass changes of labels over;
    /// `trust`: who must have signed it.
    public static func open(
        _ file: URL, labels: URL? = nil, verify: Bool = false, copy: Bool = false, compiledOnly: Bool = false,
        trust: Trust = .packaged
    ) throws -> EdgexlBundle {
        var options: exl_open_options = make()
        options.flags = (verify ? UInt32(EXL_OPEN_VERIFY) : 0) | (copy ? UInt32(EXL_OPEN_COPY) : 0)
        options.flags |= compiledOnly ? UInt32(EXL_OPEN_COMPILED) : 0
        return try withPath(labels) { path in
            options.labels_path = path
            return try trust.apply(&options) { options in
                try EdgexlBundle(opened { exl_bundle_open(file.path, &options, $0, $1) })
            }
        }
    }

    /// Open bytes, which are copied.
    public static func open(_ content: Data, labels: URL? = nil, trust: Trust = .packaged) throws -> EdgexlBundle {
        var options: exl_open_options = make()
        options.flags = UInt32(EXL_OPEN_COPY)
        return try withPath(labels) { path in
            options.labels_path = path
            return try trust.apply(&options) { options in
                try content.withUnsafeBytes { bytes in
                    try EdgexlBundle(opened { exl_bundle_open_memory(bytes.baseAddress, bytes.count, &options, $0, $1) })
                }
            }
        }
    }

    /// Open `length` bytes of an open file from `offset` on; 0: all to its end. They are mapped where the offset is a
    /// multiple of 64, and copied otherwise.
    public static func open(
        descriptor: Int32, offset: UInt64 = 0, length: UInt64 = 0, labels: URL? = nil, trust: Trust = .packaged
    ) throws -> EdgexlBundle {
        var options: exl_open_options = make()
        options.flags = offset % 64 == 0 ? 0 : UInt32(EXL_OPEN_COPY)
        return try withPath(labels) { path in
            options.labels_path = path
            return try trust.apply(&options) { options in
                try EdgexlBundle(opened { exl_bundle_open_descriptor(descriptor, offset, length, &options, $0, $1) })
            }
        }
    }

    /// Make the new bundle of a file and a patch, in its place or at `out`: either all of it or nothing. It must be signed
    /// as `trust` says and reproduce its goldens. In its place, the changes in `labels` are carried over (without one: in
    /// the file beside it). A bundle that is open stays the old one. `patchSignature`: that of the patch itself, by
    /// default the file of its name and ".minisig", if it is there; `signedPatch`: there must be one.
    @discardableResult
    public static func update(
        _ file: URL, patch: URL, out: URL? = nil, labels: URL? = nil, trust: Trust = .packaged,
        patchSignature: Data = Data(), signedPatch: Bool = false
    ) throws -> Update {
        var options: exl_open_options = make()
        var how: exl_patch_options = make()
        var report: exl_patch_report = make()
        how.signed_patch = signedPatch ? 1 : 0
        try withPath(labels) { labelsPath in
            options.labels_path = labelsPath
            try withPath(out) { outPath in
                try trust.apply(&options) { options in
                    try withUnsafePointer(to: options) { open in
                        try patchSignature.withUnsafeBytes { signed in
                            how.open = open
                            how.signature = signed.isEmpty ? nil : signed.baseAddress
                            how.signature_bytes = signed.count
                            try check { exl_patch(file.path, patch.path, outPath, &how, &report, $0) }
                        }
                    }
                }
            }
        }
        return Update(
            newBytes: report.new_bytes, added: report.added, retired: report.retired, dropped: report.dropped
        )
    }

    /// The runtime's version.
    public static var version: String { String(cString: exl_get_version()) }

    // MARK: - Answer

    /// Labels for a text, best first, at most `k` (0: 5, or all with a threshold or a coverage). `threshold`: only labels
    /// at least that probable, negative: the bundle's own; `coverage`: the smallest set that holds a right label with
    /// this probability; `windows`: that a long text is read in at most, 0: as many as the bundle allows.
    public func predict(
        _ text: String, k: Int = 0, threshold: Float? = nil, coverage: Float = 0, windows: Int = 0
    ) throws -> Answer {
        var options: exl_predict_options = make()
        options.k = UInt32(clamping: k)
        options.use_threshold = threshold == nil ? 0 : 1
        options.threshold = threshold ?? 0
        options.coverage = coverage
        options.windows = UInt32(clamping: windows)
        return try withSession { session in
            var told: UnsafePointer<exl_result>?
            try withBytes(text) { start, length in
                try check { exl_predict(session, start, length, &options, &told, $0) }
            }
            let result: exl_result = told!.pointee
            let labels = (0..<result.count).map { place -> Label in
                let prediction: exl_prediction = result.predictions[place]!.pointee
                return Label(
                    id: String(cString: prediction.id), text: String(cString: prediction.text),
                    probability: prediction.probability, logit: prediction.logit, index: prediction.label
                )
            }
            return Answer(
                labels: labels, noneFits: result.none_fits != 0, coverageHolds: result.coverage_holds != 0,
                truncated: result.truncated != 0, tokens: result.tokens, windows: result.windows,
                milliseconds: result.total_ms
            )
        }
    }

    /// Answers in order; the first text that cannot be answered throws.
    public func predict(_ texts: [String], k: Int = 0) throws -> [Answer] {
        try texts.map { try predict($0, k: k) }
    }

    /// The way of the label with this id through both stages.
    public func explain(_ text: String, id: String) throws -> Explanation {
        let label = try find(id)
        var way: exl_explanation = make()
        try withSession { session in
            try withBytes(text) { start, length in
                try check { exl_explain(session, start, length, label, &way, $0) }
            }
        }
        return Explanation(
            screeningRank: way.screening_rank, screeningScore: way.screening_score, shortlisted: way.shortlisted != 0,
            reasonerRank: way.reasoner_rank, logit: way.logit, probability: way.probability,
            foundBy: FoundBy(rawValue: way.found_by) ?? .text
        )
    }

    /// Answer the bundle's goldens; gives how many there are. Throws where one differs.
    @discardableResult
    public func selfTest() throws -> Int {
        var report: exl_self_test_report = make()
        try withSession { session in try check { exl_self_test_run(session, &report, $0) } }
        return Int(report.goldens)
    }

    /// Texts to try the bundle with.
    public func goldenTexts() throws -> [String] {
        var info: exl_bundle_info = make()
        try check { exl_bundle_get_info(handle, &info, $0) }
        return try (0..<info.goldens).map { golden in
            var start: UnsafePointer<CChar>?
            var length = 0
            try check { exl_golden_read(handle, golden, &start, &length, $0) }
            return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
        }
    }

    // MARK: - Labels

    /// The number of the label with this id.
    public func find(_ id: String) throws -> UInt32 {
        var number: UInt32 = 0
        try withBytes(id) { start, length in try check { exl_label_find(handle, start, length, &number, $0) } }
        return number
    }

    /// The label with a number.
    public func label(_ number: UInt32) throws -> ListedLabel {
        var id = [CChar](repeating: 0, count: 65536)
        var text = [CChar](repeating: 0, count: 65536)
        var label: exl_label = make()
        try id.withUnsafeMutableBufferPointer { idBytes in
            try text.withUnsafeMutableBufferPointer { textBytes in
                label.id = idBytes.baseAddress
                label.id_capacity = idBytes.count
                label.text = textBytes.baseAddress
                label.text_capacity = textBytes.count
                try check { exl_label_read(handle, number, &label, $0) }
            }
        }
        return ListedLabel(
            id: String(cString: id), text: String(cString: text), state: LabelState(rawValue: label.state) ?? .compiled
        )
    }

    /// Labels have the numbers below this one, those that were added and retired among them.
    public func labelsEnd() throws -> UInt32 {
        var info: exl_labels_info = make()
        try check { exl_labels_get_info(handle, &info, $0) }
        return info.end
    }

    /// The first labels whose text begins with a prefix.
    public func complete(_ prefix: String, limit: Int = 10) throws -> [ListedLabel] {
        let most = min(UInt32(clamping: limit), try labelsEnd())
        var numbers = [UInt32](repeating: 0, count: Int(most) + 1)
        var count: UInt32 = 0
        try withBytes(prefix) { start, length in
            try check { exl_labels_complete(handle, start, length, 0, &numbers, most, &count, $0) }
        }
        return try numbers.prefix(Int(count)).map { try label($0) }
    }

    /// Add a label, which is found at once; `replacing`: in the place of the one with this id.
    public func addLabel(id: String, text: String, replacing: Bool = false) throws {
        var added: exl_new_label = make()
        var options: exl_add_options = make()
        options.replace = replacing ? 1 : 0
        try withSession { session in
            try withBytes(id) { idStart, idLength in
                try withBytes(text) { textStart, textLength in
                    added.id = idStart
                    added.id_bytes = idLength
                    added.text = textStart
                    added.text_bytes = textLength
                    try check { exl_labels_add(session, &added, 1, &options, nil, $0) }
                }
            }
        }
    }

    /// Take the label with this id out of the set.
    public func retireLabel(id: String) throws {
        try withBytes(id) { start, length in
            var ids: UnsafePointer<CChar>? = start
            var bytes = length
            try check { exl_labels_retire(handle, &ids, &bytes, 1, $0) }
        }
    }

    private func withSession<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
        lock.lock()
        let borrowed = idle.popLast()
        lock.unlock()
        let session = try borrowed ?? opened { exl_session_open(handle, nil, $0, $1) }
        defer {
            lock.lock()
            idle.append(session)
            lock.unlock()
        }
        return try body(session)
    }
}

// MARK: - How the library is called

private protocol Sized {
    init()
    var struct_size: Int { get set }
}

extension exl_error: Sized {}
extension exl_open_options: Sized {}
extension exl_predict_options: Sized {}
extension exl_explanation: Sized {}
extension exl_self_test_report: Sized {}
extension exl_bundle_info: Sized {}
extension exl_labels_info: Sized {}
extension exl_label: Sized {}
extension exl_new_label: Sized {}
extension exl_add_options: Sized {}
extension exl_patch_options: Sized {}
extension exl_patch_report: Sized {}

/// A struct of zeros that knows its size.
private func make<Struct: Sized>() -> Struct {
    var made = Struct()
    made.struct_size = MemoryLayout<Struct>.stride
    return made
}

private func check(_ call: (UnsafeMutablePointer<exl_error>) -> exl_status) throws {
    var error: exl_error = make()
    guard call(&error) == EXL_OK else {
        let sentence = withUnsafeBytes(of: &error.sentence) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        throw EdgexlError(status: error.status, sentence: sentence)
    }
}

/// What a call opens; the call gives the pointer where it goes, and the error.
private func opened(
    _ call: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<exl_error>) -> exl_status
) throws -> OpaquePointer {
    var handle: OpaquePointer?
    try check { call(&handle, $0) }
    return handle!
}

private func withBytes<Result>(_ text: String, _ body: (UnsafePointer<CChar>, Int) throws -> Result) rethrows -> Result {
    try text.utf8CString.withUnsafeBufferPointer { try body($0.baseAddress!, $0.count - 1) }
}

private func withPath<Result>(_ file: URL?, _ body: (UnsafePointer<CChar>?) throws -> Result) rethrows -> Result {
    guard let file else { return try body(nil) }
    return try withBytes(file.path) { start, _ in try body(start) }
}
