#include "sample_prompts.h"

#include <cctype>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <set>

#include "omni/core/content_hash.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/npy.h"
#include "omni/core/progress.h"
#include "omni/core/text_format.h"
#include "omni/data/prompt_list.h"
#include "omni/kernels/peak_memory.h"
#include "sample_folder.h"
#include "sample_model.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using generation::GeneratedSample;
using generation::GenerationRequest;
using sequence::Modality;
using Json = SampleFolder::Json;

constexpr std::size_t kWordsOfName = 40;  // bytes
constexpr int kPreviewPixels = 192;

// "00012-a-tall-chair": its line and as much of the prompt as is fit for a file name.
std::string name_of(const data::PromptLine& line) {
  if (!line.name.empty()) return line.name;
  char number[16];
  std::snprintf(number, sizeof number, "%05lld", static_cast<long long>(line.line));
  std::string name = number;
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

// Everything that a sample depends on but its prompt and seed.
Json run_settings(const SampleArguments& arguments, const std::string& task) {
  const kernels::SamplingSettings& sampling = arguments.sampling;
  return {{"format", "omni samples"},
          {"model", fs::path(arguments.model).lexically_normal().string()},
          {"weights", hexadecimal(content_hash(fs::path(arguments.model) / "model.safetensors"))},
          {"task", task},
          {"seed", arguments.seed},
          {"count", arguments.count},
          {"best_of", arguments.best_of},
          {"detail", arguments.detail},
          {"view", arguments.view},
          {"temperature", sampling.temperature},
          {"top_k", sampling.top_k},
          {"top_p", sampling.top_p},
          {"min_p", sampling.min_p},
          {"guidance", arguments.guidance},
          {"guidance_schedule", arguments.guidance_schedule},
          {"any", arguments.any},
          {"device", arguments.device},
          {"precision", precision_name(arguments)},
          {"format_of_files", arguments.format.empty() ? "glb" : arguments.format},
          {"resolution", arguments.mesh.resolution},
          {"faces", arguments.mesh.faces},
          {"colour", !arguments.no_colour},
          {"smoothing", arguments.mesh.smooth_surface},
          {"level_feet", arguments.mesh.level_feet},
          {"floaters", arguments.mesh.keep_floaters},
          {"snap_to_box", arguments.mesh.snap_to_box}};
}

class PromptRun {
 public:
  explicit PromptRun(const SampleArguments& arguments)
      : arguments_(arguments),
        list_(data::read_prompts(arguments.prompts_file)),
        task_(task_of_prompts(arguments)),
        folder_(arguments.out, run_settings(arguments, task_.name)) {
    for (const data::PromptList::Problem& problem : list_.left_out) {
      char name[32];
      std::snprintf(name, sizeof name, "%05lld", static_cast<long long>(problem.line));
      leave_out({{"name", name}, {"line", problem.line}}, problem.what);
    }
    plan();
  }

  void run() {
    Progress progress("sampling", static_cast<std::int64_t>(list_.prompts.size()), "prompts");
    progress.advance(static_cast<std::int64_t>(list_.prompts.size() - planned_.size()));
    try {
      std::size_t next = 0;
      while (next < planned_.size()) {
        const std::size_t end = std::min(planned_.size(), next + prompts_per_batch());
        sample({planned_.begin() + static_cast<std::ptrdiff_t>(next),
                planned_.begin() + static_cast<std::ptrdiff_t>(end)});
        progress.advance(static_cast<std::int64_t>(end - next));
        next = end;
      }
    } catch (const Error&) {
      folder_.write_index(title());  // of what is done
      throw;
    }
    folder_.write_index(title());
  }

  // Throws Error(input) where a prompt could not be used.
  void finish() const {
    if (problems_ == 0) return;
    fail(ErrorKind::input, "sampling the prompts of ", arguments_.prompts_file, ": ", problems_, " of ",
         list_.prompts.size() + list_.left_out.size(), " gave nothing. results.jsonl in ", folder_.path(),
         " tells why");
  }

 private:
  static sequence::Task task_of_prompts(const SampleArguments& arguments) {
    if (arguments.out.empty() || arguments.out == "-")
      fail(ErrorKind::usage, "sampling the prompts of ", arguments.prompts_file,
           ": there is no folder for what they make. Name one with --out");
    SampleArguments first = arguments;
    first.prompts = {"one"};
    first.out = "x.glb";
    first.format.clear();
    return task_of(first);
  }

  std::string title() const { return concat("Samples of ", arguments_.prompts_file); }

  void plan() {
    std::set<std::string> names;
    for (const data::PromptLine& line : list_.prompts) {
      Planned planned{&line, name_of(line), line.seed.value_or(arguments_.seed)};
      if (!names.insert(planned.name).second) {
        leave_out({{"name", concat(planned.name, "-line-", line.line)}, {"line", line.line}},
                  concat("the name '", planned.name, "' stands in a line before"));
        continue;
      }
      if (!is_done(planned)) planned_.push_back(std::move(planned));
    }
  }

  std::string sample_name(const Planned& planned, std::uint64_t number) const {
    return arguments_.count == 1 ? planned.name : concat(planned.name, "_", number);
  }

  bool is_done(const Planned& planned) {
    for (std::int64_t i = 0; i < arguments_.count; ++i) {
      const Json* line = folder_.find(sample_name(planned, static_cast<std::uint64_t>(i)));
      if (line == nullptr) return false;
      if (line->value("prompt", "") != planned.line->prompt || line->value("seed", Json()) != planned.seed)
        fail(ErrorKind::usage, "sampling into ", folder_.path(), ": ", planned.name,
             " is there of another prompt or seed than that of line ", planned.line->line, " of ",
             arguments_.prompts_file, ". Take another folder for --out");
      problems_ += line->contains("problem") ? 1 : 0;
    }
    return true;
  }

  Json line_of(const Planned& planned, std::uint64_t number) const {
    return {{"name", sample_name(planned, number)},
            {"line", planned.line->line},
            {"prompt", planned.line->prompt},
            {"seed", planned.seed},
            {"sample", number}};
  }

  void leave_out(Json line, const std::string& why) {
    ++problems_;
    if (folder_.find(line["name"].get<std::string>()) != nullptr) return;
    log_warning(arguments_.prompts_file, ":", line["line"].get<std::int64_t>(), ": ", why);
    line["problem"] = why;
    folder_.add(std::move(line));
  }

  void leave_out(const Planned& planned, const std::string& why) {
    for (std::int64_t i = 0; i < arguments_.count; ++i)
      leave_out(line_of(planned, static_cast<std::uint64_t>(i)), why);
  }

  std::size_t prompts_per_batch() const {
    const std::int64_t sequences =
        arguments_.count * arguments_.best_of * (arguments_.guidance.empty() ? 1 : 2);
    return static_cast<std::size_t>(std::max<std::int64_t>(1, arguments_.batch / sequences));
  }

  void sample(const std::vector<Planned>& batch) {
    std::vector<GenerationRequest> requests;
    std::vector<const Planned*> asked;
    for (const Planned& planned : batch) {
      SampleArguments one = arguments_;
      one.task = task_.name;
      one.prompts = {planned.line->prompt};
      one.seed = planned.seed;
      try {
        requests.push_back(read_request(one));
        asked.push_back(&planned);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::usage) throw;
        leave_out(planned, error.what());
      }
    }
    if (requests.empty()) return;
    if (!bundle_) {
      GenerationRequest largest = requests.front();
      largest.count = arguments_.count * static_cast<std::int64_t>(prompts_per_batch());
      bundle_ = std::make_unique<model::Bundle>(load_model(arguments_, largest));
    }
    make(requests, asked);
  }

  // One request that the model refuses costs itself.
  void make(std::span<const GenerationRequest> requests, const std::vector<const Planned*>& asked) {
    generation::SampleOptions options = sample_options(arguments_, sequence::makes(task_, Modality::shape));
    options.on_progress = {};
    auto begun = std::chrono::steady_clock::now();
    try {
      generation::make_samples(*bundle_, requests, options, [&](const GeneratedSample& sample) {
        const auto now = std::chrono::steady_clock::now();
        write(*asked[sample.request], sample, std::chrono::duration<double>(now - begun).count());
        begun = std::chrono::steady_clock::now();
      });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      if (requests.size() == 1) return leave_out(*asked.front(), error.what());
      for (std::size_t i = 0; i < requests.size(); ++i)
        if (!is_done(*asked[i])) make(requests.subspan(i, 1), {asked[i]});
    }
  }

  void write(const Planned& planned, const GeneratedSample& sample, double seconds) {
    Json line = line_of(planned, sample.sample_number);
    const std::string name = line["name"].get<std::string>();
    std::int64_t tokens = 0;
    for (std::size_t i = 0; i < sample.images.size(); ++i) {
      const std::string file = name + (sample.images.size() > 1 ? concat("_image", i, ".png") : "_image.png");
      image::write_png(folder_.path() / file, sample.images[i]);
      line["image"] = file;
      if (sample.shapes.empty()) line["file"] = line["preview"] = file;
    }
    if (!sample.texts.empty()) line["text"] = sample.texts.back();
    if (!sample.shapes.empty()) {
      const tokenizers::ShapeCodes& codes = sample.shapes.back().codes;
      tokens = static_cast<std::int64_t>(codes.geometry.size() + codes.colour.size());
      const std::string file = name + ".npy";
      write_file_atomically(folder_.path() / file, std::span<const std::byte>(to_npy(codes.geometry)));
      line["codes"] = file;
      write_shape(name, sample.shapes.back(), line);
    }
    if (tokens > 0) line["tokens"] = tokens;
    line["log_probability"] = sample.log_probability;
    line["seconds"] = seconds;
    line["peak_memory_gb"] = kernels::peak_gigabytes(at::kCPU);
    problems_ += line.contains("problem") ? 1 : 0;
    folder_.add(std::move(line));
  }

  void write_shape(const std::string& name, const generation::GeneratedShape& shape, Json& line) const {
    if (shape.mesh->empty()) {
      line["problem"] = "the shape is empty. Try another seed or a lower temperature";
      return;
    }
    const geometry::MeshHealth& health = shape.mesh->health;
    const std::string file = concat(name, ".", arguments_.format.empty() ? "glb" : arguments_.format),
                      preview = name + ".png";
    write_file_atomically(folder_.path() / file,
                          std::span<const std::byte>(generation::encode_file(*shape.mesh, file)));
    image::write_png(
        folder_.path() / preview,
        image::contact_sheet(generation::labelled_around(shape.mesh->mesh, kPreviewPixels, 4), 2));
    line["file"] = file;
    line["preview"] = preview;
    line["triangles"] = health.triangles;
    line["closed"] = health.closed();
    line["manifold"] = health.manifold();
    line["longest_side_m"] = shape.longest_side_m.value_or(geometry::kNormalisedLongestSide);
  }

  SampleArguments arguments_;
  data::PromptList list_;
  sequence::Task task_;
  SampleFolder folder_;
  std::vector<Planned> planned_;  // what is to be done
  std::unique_ptr<model::Bundle> bundle_;
  std::int64_t problems_ = 0;
};

}  // namespace

void sample_prompts(const SampleArguments& arguments) {
  PromptRun run(arguments);
  run.run();
  run.finish();
}

}  // namespace omni::tools
