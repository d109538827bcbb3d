//! The edgexl runtime, safely: [`Bundle`] closes itself, is [`Send`] and [`Sync`], and errors are [`Error`]s.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::raw::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use crate::ffi;
pub use crate::ffi::Status;

/// What the library refuses, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: i32,
    sentence: String,
}

impl Error {
    /// Why; [`Status::Unknown`] where the library is newer than this crate.
    pub fn status(&self) -> Status {
        Status::of(self.status)
    }

    /// The number in `edgexl.h`.
    pub fn number(&self) -> i32 {
        self.status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {}

/// A result whose error is an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A label of an answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Label {
    pub id: String,
    pub text: String,
    /// Calibrated: this share of such labels were right on held-out queries.
    pub probability: f32,
    pub logit: f32,
    /// Its number in the label set.
    pub index: u32,
}

/// What a text was answered with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Best first.
    pub labels: Vec<Label>,
    /// The best label is likely to be wrong.
    pub none_fits: bool,
    /// The labels have the coverage that was asked for.
    pub coverage_holds: bool,
    /// The text is longer than what was read of it.
    pub truncated: bool,
    pub tokens: u32,
    pub windows: u32,
    pub ms: f64,
}

/// Which row of a label a text was most like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundBy {
    Text,
    Alias,
    Description,
}

/// A label's way through both stages. Ranks count from 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    pub screening_rank: u32,
    pub screening_score: f32,
    /// False: the label was lost at screening, and the reasoner did not see it.
    pub shortlisted: bool,
    pub reasoner_rank: u32,
    pub logit: f32,
    pub probability: f32,
    pub found_by: FoundBy,
}

/// Where a label comes from, and whether it is still in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelState {
    Compiled,
    Added,
    Retired,
}

/// A label of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedLabel {
    pub id: String,
    pub text: String,
    pub state: LabelState,
}

/// What goldens came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SelfTest {
    pub goldens: u32,
    pub largest_probability_difference: f32,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// Of the new bundle.
    pub new_bytes: u64,
    /// Labels of the label file that were carried over.
    pub added: u32,
    pub retired: u32,
    /// Changes that the new bundle has, or whose label it does not have.
    pub dropped: u32,
}

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Info {
    pub labels: u32,
    pub rows: u32,
    pub dims: u32,
    /// The largest `k`.
    pub shortlist: u32,
    pub max_tokens: u32,
    pub windows: u32,
    pub format: (u32, u32),
    pub goldens: u32,
    pub threshold: f32,
    pub kernel: String,
    /// JSON.
    pub manifest: String,
}

/// How [`Bundle::predict_with`] answers. The default: 5 labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct PredictOptions {
    k: u32,
    threshold: Option<f32>,
    coverage: f32,
    windows: u32,
}

impl PredictOptions {
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many labels; 0: 5, or all with a threshold or a coverage.
    pub fn k(mut self, k: u32) -> Self {
        self.k = k;
        self
    }

    /// Only labels at least that probable; negative: the bundle's own threshold.
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// The smallest set that holds a right label with this probability. Not together with a threshold.
    pub fn coverage(mut self, coverage: f32) -> Self {
        self.coverage = coverage;
        self
    }

    /// A long text is read in at most so many windows; 0: as many as the bundle allows, 1: its beginning only.
    pub fn windows(mut self, windows: u32) -> Self {
        self.windows = windows;
        self
    }

    fn told(&self) -> ffi::exl_predict_options {
        ffi::exl_predict_options {
            k: self.k,
            use_threshold: self.threshold.is_some().into(),
            threshold: self.threshold.unwrap_or_default(),
            coverage: self.coverage,
            windows: self.windows,
            ..ffi::sized()
        }
    }
}

/// How a bundle is opened. The default trusts [`TRUSTED_KEYS`](crate::TRUSTED_KEYS).
#[derive(Clone, Debug)]
pub struct OpenOptions {
    flags: u32,
    labels: Option<PathBuf>,
    keys: Vec<String>,
    least_version: u64,
    signature: Option<Vec<u8>>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        let keys = crate::TRUSTED_KEYS.iter().map(|key| key.to_string()).collect();
        Self { flags: 0, labels: None, keys, least_version: crate::LEAST_VERSION, signature: None }
    }
}

impl OpenOptions {
    pub fn new() -> Self {
        Self::default()
    }

    /// Check the hash of every section, which reads the whole file.
    pub fn verify(mut self, verify: bool) -> Self {
        self.flags = self.flags & !ffi::EXL_OPEN_VERIFY | if verify { ffi::EXL_OPEN_VERIFY } else { 0 };
        self
    }

    /// Read the file into memory instead of mapping it: someone may write to it while it is open.
    pub fn copy(mut self, copy: bool) -> Self {
        self.flags = self.flags & !ffi::EXL_OPEN_COPY | if copy { ffi::EXL_OPEN_COPY } else { 0 };
        self
    }

    /// The file that keeps changes of labels. Without this it lies beside a bundle that has a path, and labels of
    /// others cannot be changed.
    pub fn labels(mut self, path: impl AsRef<Path>) -> Self {
        self.labels = Some(path.as_ref().to_path_buf());
        self
    }

    /// Public keys of minisign's, one of which must have signed the bundle, in the place of those that the crate was made
    /// with, and their least version. None: signatures are not looked at.
    pub fn trusted_keys<Key: AsRef<str>>(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.keys = keys.into_iter().map(|key| key.as_ref().to_owned()).collect();
        self.least_version = 0;
        self
    }

    /// The least version that the signer may have given it.
    pub fn least_version(mut self, version: u64) -> Self {
        self.least_version = version;
        self
    }

    /// The signature of a bundle that does not hold it.
    pub fn signature(mut self, signature: impl Into<Vec<u8>>) -> Self {
        self.signature = Some(signature.into());
        self
    }

    /// Open a file. It is mapped, unless [`copy`](Self::copy) was asked for, and must not be written to while it is
    /// open; another file may be renamed over it.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Bundle> {
        let path = c_path(path.as_ref())?;
        self.call(|options, bundle, error| unsafe { ffi::exl_bundle_open(path.as_ptr(), options, bundle, error) })
    }

    /// Open bytes, which are copied where they do not begin at a multiple of 64.
    pub fn from_static(&self, bytes: &'static [u8]) -> Result<Bundle> {
        let unaligned = bytes.as_ptr() as usize % 64 != 0;
        let how = self.clone().copy(unaligned || self.flags & ffi::EXL_OPEN_COPY != 0);
        how.call(|options, bundle, error| unsafe {
            ffi::exl_bundle_open_memory(bytes.as_ptr().cast(), bytes.len(), options, bundle, error)
        })
    }

    /// Open bytes, which are copied.
    pub fn from_bytes(&self, bytes: &[u8]) -> Result<Bundle> {
        self.clone().copy(true).call(|options, bundle, error| unsafe {
            ffi::exl_bundle_open_memory(bytes.as_ptr().cast(), bytes.len(), options, bundle, error)
        })
    }

    /// Open `length` bytes of an open file from `offset` on; 0: all to its end. They are mapped where the offset is a
    /// multiple of 64, and copied otherwise.
    #[cfg(unix)]
    pub fn from_file(&self, file: &std::fs::File, offset: u64, length: u64) -> Result<Bundle> {
        use std::os::unix::io::AsRawFd;
        let how = self.clone().copy(offset % 64 != 0 || self.flags & ffi::EXL_OPEN_COPY != 0);
        how.call(|options, bundle, error| unsafe {
            ffi::exl_bundle_open_descriptor(file.as_raw_fd(), offset, length, options, bundle, error)
        })
    }

    fn call(
        &self,
        open: impl FnOnce(*const ffi::exl_open_options, *mut *mut ffi::exl_bundle, *mut ffi::exl_error) -> i32,
    ) -> Result<Bundle> {
        let mut raw = ptr::null_mut();
        self.told(|options| refuse(|error| open(options, &mut raw, error)))?;
        let raw = NonNull::new(raw).expect("an opened bundle is not null");
        Ok(Bundle { raw, idle: [Mutex::new(Vec::new()), Mutex::new(Vec::new())] })
    }

    /// Call with these options as the library takes them.
    fn told<T>(&self, call: impl FnOnce(*const ffi::exl_open_options) -> Result<T>) -> Result<T> {
        let labels = self.labels.as_deref().map(c_path).transpose()?;
        let labels_path = labels.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        let unusable = |_| Error { status: ffi::EXL_BAD_ARGUMENT, sentence: "a key holds no NUL".to_owned() };
        let texts = self.keys.iter().map(|key| CString::new(key.as_str()).map_err(unusable));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let keys: Vec<*const c_char> = texts.iter().map(|key| key.as_ptr()).collect();
        let signature = self.signature.as_deref().unwrap_or_default();
        let options = ffi::exl_open_options {
            flags: self.flags,
            labels_path,
            trusted_keys: if keys.is_empty() { ptr::null() } else { keys.as_ptr() },
            trusted_key_count: keys.len(),
            least_version: self.least_version,
            signature: if signature.is_empty() { ptr::null() } else { signature.as_ptr().cast() },
            signature_bytes: signature.len(),
            ..ffi::sized()
        };
        call(&options)
    }
}

/// How [`Bundle::update`] makes a new bundle.
#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    open: OpenOptions,
    out: Option<PathBuf>,
    patch_signature: Option<Vec<u8>>,
    signed_patch: bool,
}

impl UpdateOptions {
    pub fn new() -> Self {
        Self::default()
    }

    /// How the new bundle is opened: who must have signed it, which label file is carried over.
    pub fn open(mut self, options: OpenOptions) -> Self {
        self.open = options;
        self
    }

    /// Where the new bundle is written. Without this it takes the old one's place.
    pub fn out(mut self, path: impl AsRef<Path>) -> Self {
        self.out = Some(path.as_ref().to_path_buf());
        self
    }

    /// The signature of the patch itself. Without this it is the file of the patch's path and `.minisig`, if it is there.
    pub fn patch_signature(mut self, signature: impl Into<Vec<u8>>) -> Self {
        self.patch_signature = Some(signature.into());
        self
    }

    /// With trusted keys: refuse a patch that is not signed.
    pub fn signed_patch(mut self, signed: bool) -> Self {
        self.signed_patch = signed;
        self
    }

    /// Make the new bundle of the one at `path` and a patch: either all of it or nothing.
    pub fn update(&self, path: impl AsRef<Path>, patch: impl AsRef<Path>) -> Result<Update> {
        let (path, patch) = (c_path(path.as_ref())?, c_path(patch.as_ref())?);
        let out = self.out.as_deref().map(c_path).transpose()?;
        let out = out.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        let signature = self.patch_signature.as_deref().unwrap_or_default();
        let mut report = ffi::sized::<ffi::exl_patch_report>();
        self.open.told(|open| {
            let options = ffi::exl_patch_options {
                open,
                signature: if signature.is_empty() { ptr::null() } else { signature.as_ptr().cast() },
                signature_bytes: signature.len(),
                signed_patch: self.signed_patch.into(),
                ..ffi::sized()
            };
            refuse(|error| unsafe { ffi::exl_patch(path.as_ptr(), patch.as_ptr(), out, &options, &mut report, error) })
        })?;
        let ffi::exl_patch_report { new_bytes, added, retired, dropped, .. } = report;
        Ok(Update { new_bytes, added, retired, dropped })
    }
}

/// An open bundle. All threads share it: each call borrows a session, and there are as many as there were calls at the
/// same time.
pub struct Bundle {
    raw: NonNull<ffi::exl_bundle>,
    /// Those for one text at a time, and for several together.
    idle: [Mutex<Vec<NonNull<ffi::exl_session>>>; 2],
}

/// Texts that a batch answers together, each for the memory of a session.
const TOGETHER: u32 = 4;

// SAFETY: edgexl.h: a bundle is shared by all threads; a session is used by one thread at a time, which the pool keeps.
unsafe impl Send for Bundle {}
unsafe impl Sync for Bundle {}

impl Bundle {
    /// Open a file; [`OpenOptions`] has more ways.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// Make the new bundle of the one at `path` and a patch, in its place: either all of it or nothing. It must be
    /// signed as for [`open`](Self::open) and reproduce its goldens; labels that were added and retired stay so. A
    /// bundle that is open stays the old one. [`UpdateOptions`] has more ways.
    pub fn update(path: impl AsRef<Path>, patch: impl AsRef<Path>) -> Result<Update> {
        UpdateOptions::new().update(path, patch)
    }

    /// The first 5 labels for a text, best first.
    pub fn predict(&self, text: &str) -> Result<Answer> {
        self.predict_with(text, PredictOptions::new())
    }

    /// Labels for a text, best first.
    pub fn predict_with(&self, text: &str, options: PredictOptions) -> Result<Answer> {
        self.session()?.predict(text, &options.told())
    }

    /// Answer texts in order, some of them together; the first one that cannot be answered is the error.
    pub fn predict_batch<T: AsRef<str>>(&self, texts: &[T], options: PredictOptions) -> Result<Vec<Answer>> {
        let (session, options) = (self.session_for(TOGETHER)?, options.told());
        let starts: Vec<_> = texts.iter().map(|text| text.as_ref().as_ptr().cast()).collect();
        let lengths: Vec<_> = texts.iter().map(|text| text.as_ref().len()).collect();
        let mut answers = Ok(Vec::with_capacity(texts.len()));
        let batch = ffi::exl_batch {
            texts: starts.as_ptr(),
            text_bytes: lengths.as_ptr(),
            count: texts.len(),
            options: &options,
            answer: Some(take_answer),
            context: (&mut answers as *mut Result<Vec<Answer>>).cast(),
            ..ffi::sized()
        };
        refuse(|error| unsafe { ffi::exl_predict_batch(session.raw.as_ptr(), &batch, error) })?;
        answers
    }

    /// The way of the label with this id through both stages.
    pub fn explain(&self, text: &str, id: &str) -> Result<Explanation> {
        let (label, mut way) = (self.find(id)?, ffi::sized::<ffi::exl_explanation>());
        let session = self.session()?;
        refuse(|error| unsafe {
            ffi::exl_explain(session.raw.as_ptr(), text.as_ptr().cast(), text.len(), label, &mut way, error)
        })?;
        Ok(Explanation {
            screening_rank: way.screening_rank,
            screening_score: way.screening_score,
            shortlisted: way.shortlisted != 0,
            reasoner_rank: way.reasoner_rank,
            logit: way.logit,
            probability: way.probability,
            found_by: match way.found_by {
                ffi::EXL_FOUND_BY_ALIAS => FoundBy::Alias,
                ffi::EXL_FOUND_BY_DESCRIPTION => FoundBy::Description,
                _ => FoundBy::Text,
            },
        })
    }

    /// Answer the bundle's goldens. An error where one differs.
    pub fn self_test(&self) -> Result<SelfTest> {
        let (session, mut report) = (self.session()?, ffi::sized::<ffi::exl_self_test_report>());
        refuse(|error| unsafe { ffi::exl_self_test_run(session.raw.as_ptr(), &mut report, error) })?;
        Ok(SelfTest { goldens: report.goldens, largest_probability_difference: report.largest_probability_difference })
    }

    /// Texts to try the bundle with.
    pub fn golden_texts(&self) -> Result<Vec<String>> {
        let read = |golden| {
            let (mut text, mut length) = (ptr::null(), 0);
            refuse(|error| unsafe { ffi::exl_golden_read(self.raw.as_ptr(), golden, &mut text, &mut length, error) })?;
            // SAFETY: the text belongs to the bundle, which is open
            Ok(lossy(unsafe { std::slice::from_raw_parts(text.cast(), length) }))
        };
        (0..self.info()?.goldens).map(read).collect()
    }

    pub fn info(&self) -> Result<Info> {
        let mut info = ffi::sized::<ffi::exl_bundle_info>();
        refuse(|error| unsafe { ffi::exl_bundle_get_info(self.raw.as_ptr(), &mut info, error) })?;
        // SAFETY: both strings belong to the bundle, which is open
        let (kernel, manifest) =
            unsafe { (string(info.kernel), std::slice::from_raw_parts(info.manifest.cast(), info.manifest_bytes)) };
        Ok(Info {
            labels: info.labels,
            rows: info.rows,
            dims: info.dims,
            shortlist: info.shortlist,
            max_tokens: info.max_tokens,
            windows: info.windows,
            format: (info.format_major, info.format_minor),
            goldens: info.goldens,
            threshold: info.threshold,
            kernel,
            manifest: lossy(manifest),
        })
    }

    // ---- labels

    /// The number of the label with this id.
    pub fn find(&self, id: &str) -> Result<u32> {
        let mut number = 0;
        refuse(|error| unsafe {
            ffi::exl_label_find(self.raw.as_ptr(), id.as_ptr().cast(), id.len(), &mut number, error)
        })?;
        Ok(number)
    }

    /// The label with a number.
    pub fn label(&self, number: u32) -> Result<ListedLabel> {
        let mut none: c_char = 0;
        let nowhere: *mut c_char = &mut none;
        let mut sizes = ffi::exl_label { id: nowhere, text: nowhere, ..ffi::sized() };
        // too small: it tells the lengths
        unsafe { ffi::exl_label_read(self.raw.as_ptr(), number, &mut sizes, ptr::null_mut()) };
        let (mut id, mut text) = (vec![0u8; sizes.id_bytes + 1], vec![0u8; sizes.text_bytes + 1]);
        let mut label = ffi::exl_label {
            id: id.as_mut_ptr().cast(),
            id_capacity: id.len(),
            text: text.as_mut_ptr().cast(),
            text_capacity: text.len(),
            ..ffi::sized()
        };
        refuse(|error| unsafe { ffi::exl_label_read(self.raw.as_ptr(), number, &mut label, error) })?;
        Ok(ListedLabel {
            id: lossy(&id[..label.id_bytes]),
            text: lossy(&text[..label.text_bytes]),
            state: match label.state {
                ffi::EXL_LABEL_ADDED => LabelState::Added,
                ffi::EXL_LABEL_RETIRED => LabelState::Retired,
                _ => LabelState::Compiled,
            },
        })
    }

    /// All labels, those that were added and retired among them.
    pub fn labels(&self) -> Result<impl Iterator<Item = Result<ListedLabel>> + '_> {
        Ok((0..self.end()?).map(|number| self.label(number)))
    }

    /// Labels have the numbers below this one.
    fn end(&self) -> Result<u32> {
        let mut info = ffi::sized::<ffi::exl_labels_info>();
        refuse(|error| unsafe { ffi::exl_labels_get_info(self.raw.as_ptr(), &mut info, error) })?;
        Ok(info.end)
    }

    /// The first labels whose text begins with a prefix.
    pub fn complete(&self, prefix: &str, limit: usize) -> Result<Vec<ListedLabel>> {
        let capacity = u32::try_from(limit).unwrap_or(u32::MAX).min(self.end()?);
        let (mut numbers, mut count) = (vec![0; capacity as usize], 0);
        refuse(|error| unsafe {
            let (text, length) = (prefix.as_ptr().cast(), prefix.len());
            ffi::exl_labels_complete(
                self.raw.as_ptr(),
                text,
                length,
                0,
                numbers.as_mut_ptr(),
                capacity,
                &mut count,
                error,
            )
        })?;
        numbers[..count as usize].iter().map(|&number| self.label(number)).collect()
    }

    /// Add a label, which is found at once by its text and its aliases; an error where its id is in the set.
    pub fn add_label(&self, id: &str, text: &str, aliases: &[&str]) -> Result<()> {
        self.put(id, text, aliases, 0)
    }

    /// Put a label in the place of the one with this id.
    pub fn replace_label(&self, id: &str, text: &str, aliases: &[&str]) -> Result<()> {
        self.put(id, text, aliases, 1)
    }

    fn put(&self, id: &str, text: &str, aliases: &[&str], replace: u32) -> Result<()> {
        let starts: Vec<*const c_char> = aliases.iter().map(|alias| alias.as_ptr().cast()).collect();
        let lengths: Vec<usize> = aliases.iter().map(|alias| alias.len()).collect();
        let new = ffi::exl_new_label {
            id: id.as_ptr().cast(),
            id_bytes: id.len(),
            text: text.as_ptr().cast(),
            text_bytes: text.len(),
            aliases: starts.as_ptr(),
            alias_bytes: lengths.as_ptr(),
            alias_count: aliases.len(),
            ..ffi::sized()
        };
        let (session, options) = (self.session()?, ffi::exl_add_options { replace, ..ffi::sized() });
        refuse(|error| unsafe { ffi::exl_labels_add(session.raw.as_ptr(), &new, 1, &options, ptr::null_mut(), error) })
    }

    /// Take the label with this id out of the set.
    pub fn retire_label(&self, id: &str) -> Result<()> {
        let (start, length) = (id.as_ptr().cast(), id.len());
        refuse(|error| unsafe { ffi::exl_labels_retire(self.raw.as_ptr(), &start, &length, 1, error) })
    }

    /// For [`ffi`]'s functions. The bundle stays this one's, which closes it.
    pub fn as_ptr(&self) -> *mut ffi::exl_bundle {
        self.raw.as_ptr()
    }

    fn session(&self) -> Result<Session<'_>> {
        self.session_for(1)
    }

    fn session_for(&self, batch: u32) -> Result<Session<'_>> {
        let pool = &self.idle[usize::from(batch > 1)];
        let idle = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let raw = match idle {
            Some(raw) => raw,
            None => {
                let (options, mut raw) = (ffi::exl_session_options { batch, ..ffi::sized() }, ptr::null_mut());
                refuse(|error| unsafe { ffi::exl_session_open(self.raw.as_ptr(), &options, &mut raw, error) })?;
                NonNull::new(raw).expect("an opened session is not null")
            }
        };
        Ok(Session { pool, raw })
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for pool in &mut self.idle {
            for session in pool.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
                unsafe { ffi::exl_session_close(session.as_ptr()) };
            }
        }
        unsafe { ffi::exl_bundle_close(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bundle").field("labels", &self.info().map(|info| info.labels)).finish_non_exhaustive()
    }
}

/// A session that a call has to itself; it goes back to the bundle's.
struct Session<'bundle> {
    pool: &'bundle Mutex<Vec<NonNull<ffi::exl_session>>>,
    raw: NonNull<ffi::exl_session>,
}

impl Session<'_> {
    fn predict(&self, text: &str, options: &ffi::exl_predict_options) -> Result<Answer> {
        let mut result = ptr::null();
        refuse(|error| unsafe {
            ffi::exl_predict(self.raw.as_ptr(), text.as_ptr().cast(), text.len(), options, &mut result, error)
        })?;
        // SAFETY: the result lives until the session's next call, and this call has the session to itself
        Ok(unsafe { copy(&*result) })
    }
}

/// SAFETY: a result of the library's that lives.
unsafe fn copy(told: &ffi::exl_result) -> Answer {
    let labels = (0..told.count).map(|place| {
        let one = unsafe { &**told.predictions.add(place) };
        Label {
            id: unsafe { string(one.id) },
            text: unsafe { string(one.text) },
            probability: one.probability,
            logit: one.logit,
            index: one.label,
        }
    });
    Answer {
        labels: labels.collect(),
        none_fits: told.none_fits != 0,
        coverage_holds: told.coverage_holds != 0,
        truncated: told.truncated != 0,
        tokens: told.tokens,
        windows: told.windows,
        ms: told.total_ms,
    }
}

/// What a batch gives, put behind the answers that `context` is; nonzero at the first error.
unsafe extern "C" fn take_answer(
    context: *mut c_void,
    _place: usize,
    result: *const ffi::exl_result,
    error: *const ffi::exl_error,
) -> c_int {
    // SAFETY: edgexl.h: one of the two is there, as long as this runs; `context` is `predict_batch`'s
    let answers = unsafe { &mut *context.cast::<Result<Vec<Answer>>>() };
    match (unsafe { result.as_ref() }, &mut *answers) {
        (Some(result), Ok(answers)) => answers.push(unsafe { copy(result) }),
        _ => {
            let error = unsafe { &*error };
            *answers = Err(Error { status: error.status, sentence: unsafe { string(error.sentence.as_ptr()) } });
        }
    }
    c_int::from(answers.is_err())
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).push(self.raw);
    }
}

/// The runtime's version.
pub fn version() -> &'static str {
    // SAFETY: a string of the library's own
    unsafe { CStr::from_ptr(ffi::exl_get_version()) }.to_str().unwrap_or_default()
}

/// Call the library, and turn what it refuses into an error.
fn refuse(call: impl FnOnce(*mut ffi::exl_error) -> i32) -> Result<()> {
    let mut error = ffi::sized::<ffi::exl_error>();
    match call(&mut error) {
        0 => Ok(()),
        // SAFETY: the library ends its sentence with a NUL
        status => Err(Error { status, sentence: unsafe { string(error.sentence.as_ptr()) } }),
    }
}

/// A path as the library takes it: UTF-8, on Windows, too.
fn c_path(path: &Path) -> Result<CString> {
    #[cfg(unix)]
    let bytes = Some(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    #[cfg(not(unix))]
    let bytes = path.to_str().map(str::as_bytes);
    bytes.and_then(|bytes| CString::new(bytes).ok()).ok_or_else(|| Error {
        status: ffi::EXL_BAD_ARGUMENT,
        sentence: format!("{}: a path holds no NUL, and on Windows valid Unicode alone", path.display()),
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// # Safety
/// `text` ends with a NUL.
unsafe fn string(text: *const c_char) -> String {
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
