//! The 50 vectors: ids identical, probabilities equal to the bit; and all that the binding does.
#![cfg(feature = "bundle")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::thread;

use {module}::{open, Bundle, FoundBy, LabelState, OpenOptions, PredictOptions, Status, BUNDLE};

#[test]
fn all_vectors_pass_to_the_bit() {
    let (bundle, table) = (open().unwrap(), include_str!("../vectors.tsv"));
    for line in table.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let k = (cells.len() - 2) / 2;
        let answer = bundle.predict_with(cells[0], PredictOptions::new().k(k as u32)).unwrap();
        let mut said = vec![cells[0].to_string(), u32::from(answer.none_fits).to_string()];
        for label in &answer.labels {
            said.push(label.id.clone());
            said.push(format!("{:08x}", label.probability.to_bits()));
        }
        assert_eq!(said, cells);
    }
    println!("{} vectors", table.lines().count());
}

#[test]
fn all_ways_of_opening_answer_alike() {
    let bundle = open().unwrap();
    let text = &bundle.golden_texts().unwrap()[0];
    let expected = bundle.predict(text).unwrap().labels;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (path, part) = (folder.join("copy.exl"), folder.join("part"));
    std::fs::write(&path, BUNDLE).unwrap();
    File::create(&part).and_then(|mut file| file.write_all(b"12345").and_then(|()| file.write_all(BUNDLE))).unwrap();
    let shifted: &'static [u8] = Box::leak([&b"1"[..], BUNDLE].concat().into_boxed_slice());
    let mut opened = vec![
        Bundle::open(&path).unwrap(),
        OpenOptions::new().verify(true).copy(true).open(&path).unwrap(),
        OpenOptions::new().from_bytes(BUNDLE).unwrap(),
        OpenOptions::new().from_static(&shifted[1..]).unwrap(),
    ];
    #[cfg(unix)]
    opened.push(OpenOptions::new().from_file(&File::open(&part).unwrap(), 5, 0).unwrap());
    for each in &mut opened {
        assert_eq!(each.predict(text).unwrap().labels, expected);
        assert!(each.self_test().unwrap().goldens > 0);
    }
}

#[test]
fn labels_are_explained_completed_added_and_retired() {
    let labels = Path::new(env!("CARGO_TARGET_TMPDIR")).join("changes");
    let _ = std::fs::remove_file(&labels);
    let bundle = OpenOptions::new().labels(&labels).from_static(BUNDLE).unwrap();
    let text = &bundle.golden_texts().unwrap()[0];
    let first = bundle.predict(text).unwrap().labels.remove(0);
    let way = bundle.explain(text, &first.id).unwrap();
    assert_eq!((way.reasoner_rank, way.shortlisted, way.logit), (1, true, first.logit));
    assert!(matches!(way.found_by, FoundBy::Text | FoundBy::Alias | FoundBy::Description));
    assert_eq!(bundle.label(bundle.find(&first.id).unwrap()).unwrap().text, first.text);
    let start: String = first.text.chars().take(3).collect();
    assert!(bundle.complete(&start, 3).unwrap().iter().all(|label| label.text.starts_with(&start)));
    assert!(bundle.complete(&start, usize::MAX).unwrap().iter().any(|label| label.id == first.id));
    bundle.add_label("new-1", "zebra lantern", &["striped lamp"]).unwrap();
    assert_eq!(bundle.add_label("new-1", "again", &[]).unwrap_err().status(), Status::LabelExists);
    bundle.replace_label("new-1", "zebra lantern", &[]).unwrap();
    assert_eq!(bundle.predict("zebra lantern").unwrap().labels[0].id, "new-1");
    bundle.retire_label("new-1").unwrap();
    let last = bundle.labels().unwrap().last().unwrap().unwrap();
    assert_eq!((last.id.as_str(), last.state), ("new-1", LabelState::Retired));
}

#[test]
fn what_is_refused_is_said() {
    let bundle = open().unwrap();
    let error = bundle.predict("").unwrap_err();
    assert_eq!((error.status(), error.number(), error.to_string().is_empty()), (Status::EmptyText, 101, false));
    assert_eq!(Bundle::open("/no/such/file").unwrap_err().status(), Status::FileUnreadable);
    assert_eq!(Bundle::open("a\0b").unwrap_err().status(), Status::BadArgument);
    assert_eq!(OpenOptions::new().from_bytes(b"no bundle").unwrap_err().status(), Status::NotABundle);
    assert_eq!(bundle.predict_batch(&["a", "", "b"], PredictOptions::new()).unwrap_err().status(), Status::EmptyText);
    let many = PredictOptions::new().k(bundle.info().unwrap().shortlist + 1);
    assert_eq!(bundle.predict_with("a", many).unwrap_err().status(), Status::BadK);
}

#[test]
fn threads_share_a_bundle() {
    let bundle = open().unwrap();
    let texts = bundle.golden_texts().unwrap();
    let expected: Vec<_> = texts.iter().map(|text| bundle.predict(text).unwrap()).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let said = bundle.predict_batch(&texts, PredictOptions::new()).unwrap();
                assert!(said.iter().zip(&expected).all(|(one, other)| one.labels == other.labels));
            });
        }
    });
}
