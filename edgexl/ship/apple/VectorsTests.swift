import Foundation
import XCTest

@testable import {Class}

/// The vectors: ids identical, probabilities equal to the bit. Each is printed as it was answered.
final class VectorsTests: XCTestCase {
    func testAllVectorsPassToTheBit() throws {
        let bundle = try EdgexlBundle.included()
        XCTAssertGreaterThan(try bundle.selfTest(), 0)
        let place = try XCTUnwrap(Foundation.Bundle.module.url(forResource: "vectors", withExtension: "tsv"))
        let lines = try String(contentsOf: place, encoding: .utf8).split(separator: "\n")
        for line in lines {
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            var said = [cells[0]]
            do {
                let answer = try bundle.predict(cells[0], k: (cells.count - 2) / 2)
                said.append(answer.noneFits ? "1" : "0")
                for label in answer.labels {
                    said += [label.id, String(format: "%08x", label.probability.bitPattern)]
                }
            } catch {
                said.append("error: \(error)")
            }
            print("vector=" + said.joined(separator: "\t"))
            XCTAssertEqual(said, cells)
        }
    }

    func testWhatIsRefusedIsSaid() throws {
        let bundle = try EdgexlBundle.included()
        XCTAssertThrowsError(try bundle.predict("")) { XCTAssertEqual(($0 as? EdgexlError)?.status, 101) }
    }
}
