#include "sample_prompts.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"
#include "omni/core/npy.h"
#include "omni/core/progress.h"
#include "omni/core/text_format.h"
#include "omni/data/prompt_list.h"
#include "omni/kernels/peak_memory.h"
#include "prompt_sampler.h"
#include "sample_folder.h"
#include "sample_memory.h"
#include "sample_model.h"
#include "sample_output.h"
#include "unfinished_draws.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using generation::GeneratedSample;
using sequence::Modality;
using Json = SampleFolder::Json;

constexpr std::size_t kWordsOfName = 40;  // bytes

// "00012-a-tall-chair": its line and as much of the prompt as is fit for a file name.
std::string name_of(const data::PromptLine& line) {
  if (!line.name.empty()) return line.name;
  char number[16];
  std::snprintf(number, sizeof number, "%05lld", static_cast<long long>(line.line));
  std::string name = concat(number, "-");
  for (const char c : line.prompt) {
    if (name.size() >= kWordsOfName) break;
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::isalnum(byte) != 0) {
      name += static_cast<char>(std::tolower(byte));
    } else if (name.back() != '-') {
      name += '-';
    }
  }
  while (name.back() == '-') name.pop_back();
  return name;
}

struct Planned {
  const data::PromptLine* line;
  std::string name;
  std::uint64_t seed;
};

// Samples that follow each other, of one prompt.
struct Asked {
  const Planned* planned;
  std::uint64_t first;
  std::int64_t count;
};

class PromptRun {
 public:
  explicit PromptRun(const SampleArguments& arguments)
      : arguments_(arguments), list_(data::read_prompts(arguments.prompts_file)) {
    if (arguments.out.empty() || arguments.out == "-")
      fail(ErrorKind::usage, "sampling the prompts of ", arguments.prompts_file,
           ": there is no folder for what they make. Name one with --out");
    sampler_ = open_prompt_sampler(arguments_);
    choose_format();
    const Json settings = sampler_->settings();
    folder_ = std::make_unique<SampleFolder>(arguments_.out, settings);
    unfinished_ = std::make_unique<UnfinishedDraws>(folder_->path() / "unfinished.jsonl", json_text(settings),
                                                    arguments_.best_of);
    plan();
  }

  void run() {
    const auto all = static_cast<std::int64_t>(list_.prompts.size());
    progress_ = std::make_unique<Progress>("sampling", all, "prompts",
                                           all - static_cast<std::int64_t>(planned_.size()));
    try {
      for (std::size_t next = 0; next < planned_.size();) {
        const std::size_t end = std::min(planned_.size(), next + prompts_together());
        sample(std::span(planned_).subspan(next, end - next));
        next = end;
      }
      unfinished_->forget_all();
    } catch (const Error& error) {
      close();  // with what is done
      if (error.kind() == ErrorKind::interrupted) tell_interrupted();
      throw;
    } catch (...) {
      close();
      throw;
    }
    close();
  }

  // Throws Error(input) where a prompt gave nothing.
  void finish() const {
    std::set<std::int64_t> without;
    for (const auto& [name, line] : names_)
      if (const Json* result = folder_->find(name); result != nullptr && result->contains("problem"))
        without.insert(line);
    if (without.empty()) return;
    fail(ErrorKind::input, "sampling the prompts of ", arguments_.prompts_file, ": ", without.size(), " of ",
         list_.prompts.size() + list_.left_out.size(),
         " gave nothing or less than was asked for. results.jsonl in ", folder_->path(), " tells why");
  }

 private:
  // Of a prompt's file: of its mesh if there is one, else of its picture; texts stand in results.jsonl.
  void choose_format() {
    const bool shape = sequence::makes(sampler_->task(), Modality::shape),
               picture = sequence::makes(sampler_->task(), Modality::image);
    std::string& format = arguments_.format;
    if (format.empty()) format = shape ? "glb" : picture ? "png" : "txt";
    const Modality made = shape ? Modality::shape : picture ? Modality::image : Modality::text;
    if (modality_of_output("x." + format) != made)
      fail(ErrorKind::usage, "sampling the prompts of ", arguments_.prompts_file, ": the task ",
           sampler_->task().name, " makes no .", format, " file. Choose another --format");
  }

  void close() {
    progress_->set_note("");
    progress_.reset();
    unfinished_->save();
    folder_->write_index(concat("Samples of ", arguments_.prompts_file));
  }

  [[noreturn]] void tell_interrupted() const {
    const auto left = std::count_if(planned_.begin(), planned_.end(),
                                    [&](const Planned& planned) { return !is_done(planned); });
    fail(ErrorKind::interrupted, "sampling the prompts of ", arguments_.prompts_file, ": interrupted; ",
         list_.prompts.size() - static_cast<std::size_t>(left), " of ", list_.prompts.size(),
         " are done. The same command goes on with the rest, from what is drawn of it");
  }

  void plan() {
    for (const data::PromptList::Problem& problem : list_.left_out)
      leave_out({{"name", name_without_files(problem.line)}, {"line", problem.line}}, problem.what);
    std::set<std::string> names;
    for (const data::PromptLine& line : list_.prompts) {
      Planned planned{&line, name_of(line), line.seed.value_or(arguments_.seed)};
      if (!names.insert(planned.name).second) {
        leave_out({{"name", name_without_files(line.line)}, {"line", line.line}},
                  concat("the name '", planned.name, "' stands in a line before"));
        continue;
      }
      for (std::int64_t i = 0; i < arguments_.count; ++i)
        names_[sample_name(planned, static_cast<std::uint64_t>(i))] = line.line;
      const bool done = is_done(planned);
      if (note_lost_files(planned) || !done) planned_.push_back(std::move(planned));
    }
    if (!lost_.empty()) folder_->forget(lost_);
    unfinished_->match(missing_samples());
  }

  std::vector<UnfinishedDraws::Sample> missing_samples() const {
    std::vector<UnfinishedDraws::Sample> missing;
    for (const Planned& planned : planned_)
      for (std::int64_t i = 0; i < arguments_.count; ++i)
        if (std::string name = sample_name(planned, static_cast<std::uint64_t>(i));
            folder_->find(name) == nullptr)
          missing.push_back({std::move(name), planned.line->prompt, planned.seed});
    return missing;
  }

  // Its samples whose files were deleted are to be made again. Whether there are any.
  bool note_lost_files(const Planned& planned) {
    const std::size_t before = lost_.size();
    for (std::int64_t i = 0; i < arguments_.count; ++i) {
      const std::string name = sample_name(planned, static_cast<std::uint64_t>(i));
      const std::string file = folder_->missing_file(name);
      if (folder_->find(name) != nullptr) unfinished_->forget(name);
      if (file.empty()) continue;
      log_info(file, " is gone from ", folder_->path(), ": it is made again");
      lost_.insert(name);
    }
    return lost_.size() > before;
  }

  // No prompt can have it: it is none for files.
  std::string name_without_files(std::int64_t line) const {
    return concat(fs::path(arguments_.prompts_file).filename().string(), " line ", line);
  }

  std::string sample_name(const Planned& planned, std::uint64_t number) const {
    return arguments_.count == 1 ? planned.name : concat(planned.name, ".", number);
  }

  bool is_done(const Planned& planned) const {
    bool done = true;
    for (std::int64_t i = 0; i < arguments_.count; ++i) {
      const Json* line = folder_->find(sample_name(planned, static_cast<std::uint64_t>(i)));
      done = done && line != nullptr;
      if (line != nullptr &&
          (line->value("prompt", "") != planned.line->prompt || line->value("seed", Json()) != planned.seed))
        fail(ErrorKind::usage, "sampling into ", folder_->path(), ": ", planned.name,
             " is there of another prompt or seed than that of line ", planned.line->line, " of ",
             arguments_.prompts_file, ". Take another folder for --out");
    }
    return done;
  }

  Json line_of(const Planned& planned, std::uint64_t number) const {
    return {{"name", sample_name(planned, number)},
            {"line", planned.line->line},
            {"prompt", planned.line->prompt},
            {"seed", planned.seed},
            {"sample", number}};
  }

  void leave_out(Json line, const std::string& why) {
    const auto name = line["name"].get<std::string>();
    names_[name] = line["line"].get<std::int64_t>();
    if (folder_->find(name) != nullptr) return;
    log_warning(arguments_.prompts_file, ":", line["line"].get<std::int64_t>(), ": ", why);
    line["problem"] = why;
    folder_->add(std::move(line));
  }

  void leave_out(const Planned& planned, const std::string& why) {
    for (std::int64_t i = 0; i < arguments_.count; ++i)
      leave_out(line_of(planned, static_cast<std::uint64_t>(i)), why);
    progress_->advance(1);
  }

  // As many as are decoded at once; on a GPU several times that, so that meshes are made while the next ones are drawn.
  std::size_t prompts_together() const {
    constexpr std::int64_t kBatches = 8;
    const std::int64_t batch = std::max<std::int64_t>(
        1, sampler_->sequences_at_once() / (arguments_.count * sampler_->rows_per_sample()));
    return static_cast<std::size_t>(arguments_.device == "cuda" ? kBatches * batch : batch);
  }

  void sample(std::span<const Planned> batch) {
    std::vector<Asked> asked;
    for (const Planned& planned : batch) {
      try {
        sampler_->check(planned.line->prompt);
        ask_for_missing(planned, asked);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::usage) throw;
        leave_out(planned, error.what());
      }
    }
    if (!asked.empty()) make(asked);
  }

  void ask_for_missing(const Planned& planned, std::vector<Asked>& asked) const {
    bool follows = false;
    for (std::int64_t i = 0; i < arguments_.count; ++i) {
      const auto number = static_cast<std::uint64_t>(i);
      const bool missing = folder_->find(sample_name(planned, number)) == nullptr;
      if (missing && follows)
        ++asked.back().count;
      else if (missing)
        asked.push_back({&planned, number, 1});
      follows = missing;
    }
  }

  // A prompt that the model refuses (one too long for it, say) costs itself.
  void make(std::span<const Asked> asked) {
    std::vector<SeededPrompt> prompts;
    std::int64_t samples = 0;
    for (const Asked& each : asked) {
      prompts.push_back({each.planned->line->prompt, each.planned->seed, each.first, each.count});
      samples += each.count;
    }
    generation::SampleOptions options =
        sample_options(arguments_, sequence::makes(sampler_->task(), Modality::shape));
    unfinished_->name_samples([&](std::size_t request, std::uint64_t number) -> UnfinishedDraws::Sample {
      const Planned& planned = *asked[request].planned;
      return {sample_name(planned, number), planned.line->prompt, planned.seed};
    });
    options.keeper = unfinished_.get();
    options.on_progress = [&](std::int64_t drawn, std::int64_t bound) {
      show(concat(drawn, "/", bound, " tokens of ", samples, samples == 1 ? " sample" : " samples"));
    };
    std::int64_t written = 0;
    bool writing = false;
    try {
      sampler_->sample(prompts, options, [&](const GeneratedSample& sample) {
        writing = true;
        write(*asked[sample.request].planned, sample);
        writing = false;
        show(concat("made ", ++written, " of ", samples, samples == 1 ? " sample" : " samples"));
      });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage || writing) throw;
      if (asked.size() == 1) return leave_out(*asked.front().planned, error.what());
      const std::size_t half = asked.size() / 2;
      make_rest(asked.first(half));
      make_rest(asked.subspan(half));
    }
  }

  void show(std::string note) {
    progress_->set_note(std::move(note));
    progress_->advance(0);
  }

  // Of these the ones that are not there yet.
  void make_rest(std::span<const Asked> asked) {
    std::vector<Asked> left;
    for (const Asked& each : asked)
      if (!is_done(*each.planned)) left.push_back(each);
    if (!left.empty()) make(left);
  }

  void write(const Planned& planned, const GeneratedSample& sample) {
    Json line = line_of(planned, sample.sample_number);
    const std::string name = line["name"].get<std::string>();
    if (folder_->find(name) != nullptr) return;  // of a run that was stopped between the samples of a prompt
    write_pictures(name, sample, line);
    if (!sample.texts.empty()) line["text"] = sample.texts.back();
    if (!sample.shapes.empty()) {
      const tokenizers::ShapeCodes& codes = sample.shapes.back().codes;
      line["codes"] = name + ".npy";
      line["tokens"] = codes.geometry.size() + codes.colour.size();
      write_file_atomically(folder_->path() / (name + ".npy"),
                            std::span<const std::byte>(to_npy(codes.geometry)));
      write_shape(name, sample.shapes.back(), line);
    }
    line["log_probability"] = sample.log_probability;
    line["settings"] = sampler_->effective_settings();
    line["drawing_seconds"] = sample.drawing_seconds;
    line["meshing_seconds"] = sample.meshing_seconds;
    line["peak_memory_gb"] = kernels::peak_gigabytes(at::kCPU);
    folder_->add(std::move(line));
    unfinished_->forget(name);
    if (is_done(planned)) progress_->advance(1);
  }

  // Where they are all that is made, the last one is the prompt's file.
  void write_pictures(const std::string& name, const GeneratedSample& sample, Json& line) const {
    const bool alone = sample.shapes.empty();
    for (std::size_t i = 0; i < sample.images.size(); ++i) {
      const bool last = alone && i + 1 == sample.images.size();
      const std::string file =
          last ? concat(name, ".", arguments_.format) : concat(name, ".image", i, ".png");
      write_file_atomically(folder_->path() / file,
                            std::span<const std::byte>(image::encode_image(sample.images[i], file)));
      if (last) line["file"] = line["preview"] = file;
      if (!last) line["images"].push_back(file);
    }
  }

  void write_shape(const std::string& name, const generation::GeneratedShape& shape, Json& line) const {
    if (shape.mesh->empty()) {
      line["problem"] = "the shape is empty. Try another seed or a lower temperature";
      return;
    }
    const geometry::MeshHealth& health = shape.mesh->health;
    const std::string file = concat(name, ".", arguments_.format), preview = name + ".png";
    write_file_atomically(folder_->path() / file,
                          std::span<const std::byte>(generation::encode_file(*shape.mesh, file)));
    image::write_png(
        folder_->path() / preview,
        image::contact_sheet(generation::labelled_around(shape.mesh->mesh, kPreviewPixels, 4), 2));
    line["file"] = file;
    line["preview"] = preview;
    line["triangles"] = health.triangles;
    line["closed"] = health.closed();
    line["manifold"] = health.manifold();
    line["longest_side_m"] = longest_side_m(shape);
  }

  SampleArguments arguments_;
  data::PromptList list_;
  std::unique_ptr<PromptSampler> sampler_;
  std::unique_ptr<SampleFolder> folder_;
  std::unique_ptr<UnfinishedDraws> unfinished_;
  std::vector<Planned> planned_;               // what is to be done
  std::set<std::string> lost_;                 // samples without a file that they had
  std::map<std::string, std::int64_t> names_;  // of all results that this run is for, with their lines
  std::unique_ptr<Progress> progress_;         // while it runs
};

}  // namespace

void sample_prompts(const SampleArguments& arguments) {
  PromptRun run(arguments);
  run.run();
  tell_peak_memory(arguments.device == "cuda");
  run.finish();
}

}  // namespace omni::tools
