import Foundation
import XCTest

@testable import {Class}

/// The vectors: ids identical, probabilities equal to the bit.
final class VectorsTests: XCTestCase {
    func testAllVectorsPassToTheBit() throws {
        let bundle = try EdgexlBundle.included()
        XCTAssertGreaterThan(try bundle.selfTest(), 0)
        let place = try XCTUnwrap(Foundation.Bundle.module.url(forResource: "vectors", withExtension: "tsv"))
        let lines = try String(contentsOf: place, encoding: .utf8).split(separator: "\n")
        for line in lines {
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            let answer = try bundle.predict(cells[0], k: (cells.count - 2) / 2)
            var said = [cells[0], answer.noneFits ? "1" : "0"]
            for label in answer.labels {
                said += [label.id, String(format: "%08x", label.probability.bitPattern)]
            }
            XCTAssertEqual(said, cells)
        }
        print("\(lines.count) vectors")
    }

    func testWhatIsRefusedIsSaid() throws {
        let bundle = try EdgexlBundle.included()
        XCTAssertThrowsError(try bundle.predict("")) { XCTAssertEqual(($0 as? EdgexlError)?.status, 101) }
    }
}
