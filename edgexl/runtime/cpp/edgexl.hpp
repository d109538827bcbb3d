/* edgexl.hpp: edgexl.h for C++17: objects that close themselves, strings, and exceptions. One header, nothing to link
 * but the library. Apache-2.0.
 *
 *     edgexl::Bundle bundle("words.exl");
 *     edgexl::Session session(bundle);
 *     for (const edgexl::Label &label : session.predict("a large body of water").labels)
 *         std::cout << label.probability << ' ' << label.text << '\n';
 *
 * A bundle serves all threads, a session one at a time, and a bundle must outlive its sessions. All throw
 * edgexl::Error. */
#ifndef EDGEXL_HPP
#define EDGEXL_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "edgexl.h"

namespace edgexl {

/* What the library refuses: a sentence, and its status. */
class Error : public std::runtime_error {
  public:
    explicit Error(const exl_error &error)
        : std::runtime_error(error.sentence), status(static_cast<exl_status>(error.status)) {}
    const exl_status status;
};

namespace detail {
/* A struct of the library's, zeroed, that knows its size. */
template <typename Struct> Struct make() {
    Struct made = {};
    made.struct_size = sizeof made;
    return made;
}

/* Calls `function` with an exl_error at the end. */
template <typename Function, typename... Arguments> void call(Function function, Arguments... arguments) {
    exl_error error = make<exl_error>();
    if (function(arguments..., &error) != EXL_OK)
        throw Error(error);
}
} // namespace detail

inline std::string version() { return exl_get_version(); }

struct Label {
    std::string id, text;
    float probability = 0, logit = 0; /* probability: calibrated */
    std::uint32_t index = 0;
};

struct Answer {
    std::vector<Label> labels;   /* best first */
    bool none_fits = false;      /* the best label is likely to be wrong */
    bool coverage_holds = false; /* the labels have the coverage that was asked for */
    bool truncated = false;
    std::uint32_t tokens = 0, windows = 0;
    double ms = 0;
};

struct PredictOptions {
    std::uint32_t k = 0;            /* 0: 5, or all with a threshold or a coverage */
    std::optional<float> threshold; /* only labels at least this probable; negative: the bundle's own */
    float coverage = 0;             /* the smallest set that holds a right label with this probability */
    std::uint32_t windows = 0;
};

struct ListedLabel {
    std::string id, text;
    exl_label_state state = EXL_LABEL_COMPILED;
};

struct OpenOptions {
    std::uint32_t flags = 0; /* EXL_OPEN_VERIFY and the like */
    std::string labels_path; /* of the file that keeps changes of labels; "": beside the path, where there is one */
    std::vector<std::string> trusted_keys; /* one of these must have signed it; none: signatures are not looked at */
    std::uint64_t least_version = 0;       /* that the signer gave it */
    std::string signature;                 /* what minisign wrote; "": the bundle's own, or beside it */
};

struct UpdateOptions {
    OpenOptions open;            /* of the new bundle: who must have signed it, which label file is carried over */
    std::string out;             /* where it is written; "": in the old one's place */
    std::string patch_signature; /* what minisign wrote of the patch; "": the file beside it, if it is there */
    bool signed_patch = false;   /* with trusted keys: refuse a patch that is not signed */
};

class Bundle {
  public:
    /* Makes the new bundle of the one at `path` and a patch, in its place: either all of it or nothing. It must
     * reproduce its goldens; a bundle that is open stays the old one. */
    static exl_patch_report update(const std::string &path, const std::string &patch,
                                   const UpdateOptions &options = {}) {
        const Taken open(options.open);
        exl_patch_options how = detail::make<exl_patch_options>();
        exl_patch_report report = detail::make<exl_patch_report>();
        how.open = &open.options;
        how.signature = options.patch_signature.empty() ? nullptr : options.patch_signature.data();
        how.signature_bytes = options.patch_signature.size();
        how.signed_patch = options.signed_patch;
        detail::call(exl_patch, path.c_str(), patch.c_str(), options.out.empty() ? nullptr : options.out.c_str(), &how,
                     &report);
        return report;
    }
    explicit Bundle(const std::string &path, const OpenOptions &options = {}) {
        const Taken how(options);
        detail::call(exl_bundle_open, path.c_str(), &how.options, &opened_);
    }
    /* Memory that begins at a multiple of 64 bytes and outlives the bundle, or EXL_OPEN_COPY. */
    Bundle(const void *bytes, std::size_t length, const OpenOptions &options = {}) {
        const Taken how(options);
        detail::call(exl_bundle_open_memory, bytes, length, &how.options, &opened_);
    }
    /* A part of an open file, from a multiple of 64 bytes on, or EXL_OPEN_COPY; length 0: to its end. */
    static Bundle from_descriptor(int descriptor, std::uint64_t offset = 0, std::uint64_t length = 0,
                                  const OpenOptions &options = {}) {
        const Taken how(options);
        Bundle made;
        detail::call(exl_bundle_open_descriptor, descriptor, offset, length, &how.options, &made.opened_);
        return made;
    }
    Bundle(Bundle &&other) noexcept : opened_(other.opened_) { other.opened_ = nullptr; }
    Bundle &operator=(Bundle &&other) noexcept {
        std::swap(opened_, other.opened_);
        return *this;
    }
    Bundle(const Bundle &) = delete;
    Bundle &operator=(const Bundle &) = delete;
    ~Bundle() { exl_bundle_close(opened_); }

    exl_bundle_info info() const {
        exl_bundle_info told = detail::make<exl_bundle_info>();
        detail::call(exl_bundle_get_info, opened_, &told);
        return told;
    }
    /* Of the current set, and the end of its numbers. */
    exl_labels_info labels_info() const {
        exl_labels_info told = detail::make<exl_labels_info>();
        detail::call(exl_labels_get_info, opened_, &told);
        return told;
    }
    std::uint32_t find(std::string_view id) const {
        std::uint32_t number = 0;
        detail::call(exl_label_find, opened_, id.data(), id.size(), &number);
        return number;
    }
    ListedLabel label(std::uint32_t number) const {
        exl_label sizes = detail::make<exl_label>(), filled = detail::make<exl_label>();
        char none;
        sizes.id = sizes.text = &none;
        (void)exl_label_read(opened_, number, &sizes, nullptr); /* too small: it tells the lengths */
        ListedLabel read{std::string(sizes.id_bytes + 1, '\0'), std::string(sizes.text_bytes + 1, '\0')};
        filled.id = read.id.data(), filled.id_capacity = read.id.size();
        filled.text = read.text.data(), filled.text_capacity = read.text.size();
        detail::call(exl_label_read, opened_, number, &filled);
        read.id.resize(filled.id_bytes), read.text.resize(filled.text_bytes);
        read.state = static_cast<exl_label_state>(filled.state);
        return read;
    }
    /* The first labels whose text begins with a prefix. */
    std::vector<ListedLabel> complete(std::string_view prefix, std::uint32_t limit = 10) const {
        std::vector<std::uint32_t> numbers(limit);
        std::uint32_t count = 0;
        detail::call(exl_labels_complete, opened_, prefix.data(), prefix.size(), 0u, numbers.data(), limit, &count);
        std::vector<ListedLabel> found;
        for (std::uint32_t i = 0; i < count; i++)
            found.push_back(label(numbers[i]));
        return found;
    }
    void retire(std::string_view id) {
        const char *ids = id.data();
        const std::size_t bytes = id.size();
        detail::call(exl_labels_retire, opened_, &ids, &bytes, std::size_t{1});
    }
    exl_bundle *handle() const { return opened_; }

  private:
    Bundle() = default;
    /* Points into the options that it was made of. */
    struct Taken {
        explicit Taken(const OpenOptions &from) {
            for (const std::string &key : from.trusted_keys)
                keys.push_back(key.c_str());
            options.flags = from.flags;
            options.labels_path = from.labels_path.empty() ? nullptr : from.labels_path.c_str();
            options.trusted_keys = keys.empty() ? nullptr : keys.data();
            options.trusted_key_count = keys.size();
            options.least_version = from.least_version;
            options.signature = from.signature.empty() ? nullptr : from.signature.data();
            options.signature_bytes = from.signature.size();
        }
        std::vector<const char *> keys;
        exl_open_options options = detail::make<exl_open_options>();
    };
    exl_bundle *opened_ = nullptr;
};

class Session {
  public:
    /* batch: texts that predict_batch answers together, 1 to 32, each for the memory of a session; 0: 1. */
    explicit Session(Bundle &bundle, std::uint32_t scan_threads = 0, std::uint32_t batch = 0)
        : bundle_(bundle.handle()) {
        exl_session_options how = detail::make<exl_session_options>();
        how.scan_threads = scan_threads;
        how.batch = batch;
        exl_session *opened = nullptr;
        detail::call(exl_session_open, bundle_, &how, &opened);
        opened_.reset(opened);
    }

    Answer predict(std::string_view text, const PredictOptions &options = {}) {
        const exl_predict_options how = take(options);
        const exl_result *result = nullptr;
        detail::call(exl_predict, opened_.get(), text.data(), text.size(), &how, &result);
        return copy(*result);
    }
    /* Answers in order; the first text that cannot be answered throws, and none is given. */
    std::vector<Answer> predict_batch(const std::vector<std::string> &texts, const PredictOptions &options = {}) {
        const exl_predict_options how = take(options);
        std::vector<const char *> starts;
        std::vector<std::size_t> bytes;
        Taken taken;
        exl_batch batch = detail::make<exl_batch>();
        for (const std::string &text : texts) {
            starts.push_back(text.data());
            bytes.push_back(text.size());
        }
        batch.texts = starts.data();
        batch.text_bytes = bytes.data();
        batch.count = texts.size();
        batch.options = &how;
        batch.answer = Taken::take;
        batch.context = &taken;
        detail::call(exl_predict_batch, opened_.get(), &batch);
        if (taken.raised)
            std::rethrow_exception(taken.raised);
        return std::move(taken.answers);
    }
    exl_explanation explain(std::string_view text, std::string_view id) {
        exl_explanation way = detail::make<exl_explanation>();
        std::uint32_t label = 0;
        detail::call(exl_label_find, bundle_, id.data(), id.size(), &label);
        detail::call(exl_explain, opened_.get(), text.data(), text.size(), label, &way);
        return way;
    }
    /* Adds a label, which is found at once; `replace`: in the place of the one with this id. */
    void add(std::string_view id, std::string_view text, bool replace = false) {
        exl_new_label label = detail::make<exl_new_label>();
        exl_add_options how = detail::make<exl_add_options>();
        label.id = id.data(), label.id_bytes = id.size();
        label.text = text.data(), label.text_bytes = text.size();
        how.replace = replace;
        detail::call(exl_labels_add, opened_.get(), &label, std::size_t{1}, &how,
                     static_cast<std::uint32_t *>(nullptr));
    }
    /* Answers the bundle's goldens; throws where one differs. */
    exl_self_test_report self_test() {
        exl_self_test_report report = detail::make<exl_self_test_report>();
        detail::call(exl_self_test_run, opened_.get(), &report);
        return report;
    }

  private:
    struct Close {
        void operator()(exl_session *session) const { exl_session_close(session); }
    };
    /* What a batch gives; exceptions do not go through C. */
    struct Taken {
        static int take(void *context, std::size_t, const exl_result *result, const exl_error *error) {
            Taken &taken = *static_cast<Taken *>(context);
            try {
                if (!result)
                    throw Error(*error);
                taken.answers.push_back(copy(*result));
            } catch (...) {
                taken.raised = std::current_exception();
            }
            return taken.raised != nullptr;
        }
        std::vector<Answer> answers;
        std::exception_ptr raised;
    };
    static exl_predict_options take(const PredictOptions &options) {
        exl_predict_options how = detail::make<exl_predict_options>();
        how.k = options.k, how.coverage = options.coverage, how.windows = options.windows;
        how.use_threshold = options.threshold.has_value();
        how.threshold = options.threshold.value_or(0);
        return how;
    }
    static Answer copy(const exl_result &result) {
        Answer answer;
        for (std::size_t i = 0; i < result.count; i++) {
            const exl_prediction &one = *result.predictions[i];
            answer.labels.push_back({one.id, one.text, one.probability, one.logit, one.label});
        }
        answer.none_fits = result.none_fits != 0;
        answer.coverage_holds = result.coverage_holds != 0;
        answer.truncated = result.truncated != 0;
        answer.tokens = result.tokens, answer.windows = result.windows, answer.ms = result.total_ms;
        return answer;
    }
    exl_bundle *bundle_;
    std::unique_ptr<exl_session, Close> opened_;
};

} // namespace edgexl
#endif
