import SwiftUI
import {Class}

@main
struct SampleApp: App {
    var body: some Scene {
        WindowGroup { SearchView() }
    }
}

/// Opens the bundle and answers, off the main actor.
actor Searcher {
    private var bundle: EdgexlBundle?

    func answer(_ text: String) throws -> Answer {
        let opened = try bundle ?? EdgexlBundle.included()
        bundle = opened
        return try opened.predict(text, k: 10)
    }
}

/// Search as you type: each change of the text cancels the search before it.
struct SearchView: View {
    @State private var text = ""
    @State private var answer: Answer?
    @State private var searcher = Searcher()

    var body: some View {
        NavigationView {
            List {
                if answer?.noneFits == true {
                    Text("Perhaps none of these fits.").foregroundColor(.secondary)
                }
                ForEach(answer?.labels ?? []) { LabelRow(label: $0) }
                if answer == nil {
                    Text("Type what you are looking for. Nothing leaves this device.").foregroundColor(.secondary)
                }
            }
            .navigationTitle("{name}")
            .searchable(text: $text, placement: .navigationBarDrawer(displayMode: .always), prompt: "Describe it")
            .disableAutocorrection(true)
        }
        .navigationViewStyle(.stack)
        .task(id: text) {
            guard !text.trimmingCharacters(in: .whitespaces).isEmpty else {
                answer = nil
                return
            }
            let found = try? await searcher.answer(text)
            if !Task.isCancelled { answer = found }
        }
    }
}

struct LabelRow: View {
    let label: {Class}.Label

    var body: some View {
        VStack(alignment: .leading, spacing: 8) {
            HStack {
                Text(label.text).font(.headline)
                Spacer()
                Text(label.probability, format: .percent.precision(.fractionLength(0)))
                    .font(.subheadline.monospacedDigit())
                    .foregroundColor(.secondary)
            }
            ProgressView(value: min(max(Double(label.probability), 0), 1)).accessibilityHidden(true)
        }
        .padding(.vertical, 4)
        .accessibilityElement(children: .combine)
    }
}
