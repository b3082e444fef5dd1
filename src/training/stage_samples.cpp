#include "stage_samples.h"

#include <algorithm>
#include <chrono>

#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"
#include "omni/geometry/camera.h"
#include "omni/geometry/mesh.h"
#include "omni/geometry/mesh_files.h"
#include "omni/tokenizers/caption_text.h"
#include "sample_sheet.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kIndexName = "samples.json";

fs::path samples_folder(const fs::path& output) { return output / "samples"; }

std::optional<generation::View> view_of(const sequence::ImagePayload& image) {
  if (!image.azimuth || !image.elevation) return std::nullopt;
  return generation::View{geometry::azimuth_of_bin(*image.azimuth),
                          geometry::elevation_of_bin(*image.elevation)};
}

generation::ShapeCondition shape_of(const sequence::ShapePayload& payload) {
  generation::ShapeCondition shape{
      .shape = tokenizers::ShapeCodes{payload.geometry, payload.colour}, .longest_side_m = {}, .extent = {}};
  if (payload.size) shape.longest_side_m = sequence::size_of_bin(*payload.size);
  if (payload.box[0] && payload.box[1] && payload.box[2])
    shape.extent = geometry::Vec3{sequence::box_share_of_bin(*payload.box[0]),
                                  sequence::box_share_of_bin(*payload.box[1]),
                                  sequence::box_share_of_bin(*payload.box[2])};
  return shape;
}

std::string words_of(const sequence::Segment& segment, const model::Bundle& bundle) {
  return bundle.tokenizers.text()->decode(std::get<sequence::TextPayload>(segment.payload).tokens);
}

// What the tokenizers make of a segment's codes.
void append_pictures(Cells& cells, const sequence::Segment& segment, const model::Bundle& bundle) {
  const c10::InferenceMode no_gradients;
  if (const auto* image = std::get_if<sequence::ImagePayload>(&segment.payload)) {
    append_cell(cells, bundle.tokenizers.image()->decode({&image->codes, 1}).front());
  } else if (const auto* shape = std::get_if<sequence::ShapePayload>(&segment.payload)) {
    const tokenizers::ShapeTokenizer& tokenizer = *bundle.tokenizers.shape();
    const tokenizers::ShapeCodes codes{shape->geometry, shape->colour};
    const generation::MeshOptions options{.resolution = generation::default_mesh_resolution(tokenizer)};
    append_cells(cells, generation::extract_mesh(*tokenizer.decode({&codes, 1}).front(), options).mesh);
  }
}

// The files of one sample: what it is called in its folder, and what the index and the sheet say of it.
class SampleWriter {
 public:
  SampleWriter(const fs::path& folder, std::size_t number, Json& entry)
      : folder_(folder), number_(number), entry_(entry) {}

  Cells write(const generation::GeneratedSample& sample) {
    Cells cells;
    for (const std::string& text : sample.texts) {
      write_file_atomically(new_file(".txt"), std::string_view(text + "\n"));
      entry_["texts"].push_back(text);
    }
    for (const image::Image& image : sample.images) {
      image::write_png(new_file(".png"), image);
      append_cell(cells, image);
    }
    for (const generation::GeneratedShape& shape : sample.shapes) {
      const geometry::Mesh& mesh = shape.mesh->mesh;
      if (shape.mesh->empty())
        entry_["problem"] = "the shape is empty";
      else
        geometry::write_mesh(new_file(".glb"), mesh);
      append_cells(cells, mesh);
    }
    return cells;
  }

 private:
  // 03.glb; the second of its kind is 03-2.glb.
  fs::path new_file(const char* ending) {
    char stem[24];
    std::snprintf(stem, sizeof stem, "%02zu", number_);
    std::string name = concat(stem, ending);
    for (int more = 2; fs::exists(folder_ / name); ++more) name = concat(stem, "-", more, ending);
    entry_["files"].push_back(name);
    return folder_ / name;
  }

  const fs::path& folder_;
  std::size_t number_;
  Json& entry_;
};

}  // namespace

StageSamples::StageSamples(const StageConfig& config, const StageData& data, const model::Bundle& bundle,
                           bool limited)
    : config_(config), bundle_(bundle) {
  if (limited) seconds_limit_ = 0.5 * 60 * config.call_minutes;
  if (config.sample_prompts.empty()) {
    for (SampleDocument& document : data.sample_documents(config, bundle)) add(std::move(document));
  } else {
    for (const std::string& prompt : config.sample_prompts)
      for (const auto& task : data.source().tasks())
        add(prompt, sequence::find_task(task.name, bundle.tasks));
    if (subjects_.empty())
      fail(ErrorKind::usage,
           "'sample_prompts': no task of the mixture starts from one text alone, as text->shape "
           "does. Leave the key out to sample from objects");
  }
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    requests_[i].seed = static_cast<std::uint64_t>(config.seed);
    requests_[i].first_sample = i;
    generation::check_request(requests_[i], bundle);
  }
}

void StageSamples::add(const std::string& prompt, const sequence::Task& task) {
  const sequence::TaskSegment* condition = nullptr;
  std::size_t conditions = 0;
  for (const sequence::TaskSegment& segment : task.segments) {
    if (segment.loss) continue;
    condition = &segment;
    ++conditions;
  }
  if (conditions != 1 || condition->modality != sequence::Modality::text) return;
  const std::size_t length = tokenizers::encode_caption(*bundle_.tokenizers.text(), prompt).size();
  if (length > static_cast<std::size_t>(bundle_.layout().text_capacity))
    fail(ErrorKind::usage, "'sample_prompts': '", prompt, "' has ", length,
         " tokens, and the model reads at most ", bundle_.layout().text_capacity, ". Shorten it");
  generation::GenerationRequest request;
  request.task = task;
  request.prompts = {prompt};
  requests_.push_back(std::move(request));
  subjects_.emplace_back();
}

void StageSamples::add(SampleDocument from) {
  generation::GenerationRequest request;
  request.task = from.task;
  for (const sequence::Segment& segment : from.document.segments) {
    const auto* image = std::get_if<sequence::ImagePayload>(&segment.payload);
    if (segment.carries_loss) {
      // From where the true picture is seen.
      if (image != nullptr && !request.view) request.view = view_of(*image);
    } else if (image != nullptr) {
      request.images.push_back({.image = image->codes, .view = view_of(*image)});
    } else if (const auto* shape = std::get_if<sequence::ShapePayload>(&segment.payload)) {
      request.shapes.push_back(shape_of(*shape));
    } else {
      request.prompts.push_back(words_of(segment, bundle_));
    }
  }
  requests_.push_back(std::move(request));
  subjects_.push_back({.document = std::move(from), .conditions = {}, .truth = {}});
}

// Once, for they never change.
void StageSamples::draw_subjects() {
  for (Subject& subject : subjects_) {
    subject.conditions.clear();
    subject.truth.clear();
    if (!subject.document) continue;
    for (const sequence::Segment& segment : subject.document->document.segments) {
      require_time();
      append_pictures(segment.carries_loss ? subject.truth : subject.conditions, segment, bundle_);
    }
  }
  drawn_ = true;
}

void StageSamples::require_time() const {
  throw_if_interrupted();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun_;
  if (taken.count() > seconds_limit_)
    fail(ErrorKind::usage, "not made within half of timeouts.call_minutes, for which the other ranks wait");
}

void StageSamples::make(std::int64_t step) {
  begun_ = std::chrono::steady_clock::now();
  try {
    if (!drawn_) draw_subjects();
    write(step);
  } catch (const std::exception& error) {
    if (interrupt_requested())
      log_info("samples after step ", step, ": given up, for the run is to stop");
    else
      log_warning("samples after step ", step, ": ", error.what());
  }
}

void StageSamples::write(std::int64_t step) {
  const fs::path path = checkpoint::checkpoint_path(samples_folder(config_.output), step);
  prepare_output_directory(path.parent_path());
  AtomicDirectory folder(path, kIndexName);
  std::vector<Json> entries;
  for (std::size_t i = 0; i < subjects_.size(); ++i) {
    Json entry{{"number", i + 1}, {"task", requests_[i].task.name}};
    if (subjects_[i].document) entry["split"] = data::split_name(subjects_[i].document->split);
    if (!requests_[i].prompts.empty()) entry["prompts"] = requests_[i].prompts;
    entries.push_back(std::move(entry));
  }
  std::vector<Cells> cells(subjects_.size());
  std::size_t made = 0;
  std::string problem;
  try {
    generation::SampleOptions options{.precision = model::parse_decode_precision(config_.precision),
                                      .mesh = generation::MeshOptions{},
                                      .on_progress = [&](std::int64_t, std::int64_t) { require_time(); }};
    generation::make_samples(bundle_, requests_, options, [&](const generation::GeneratedSample& sample) {
      require_time();
      const std::size_t i = sample.request;
      cells[i] = SampleWriter(folder.staging_path(), i + 1, entries[i]).write(sample);
      ++made;
    });
  } catch (const std::exception& error) {
    if (interrupt_requested()) throw;
    problem = error.what();
  }
  std::vector<SheetRow> rows;
  for (std::size_t i = 0; i < subjects_.size(); ++i) {
    // Samples come in order.
    if (i >= made) entries[i]["problem"] = problem;
    if (subjects_[i].document)
      for (const sequence::Segment& segment : subjects_[i].document->document.segments)
        if (segment.carries_loss && segment.modality() == sequence::Modality::text)
          entries[i]["true_texts"].push_back(words_of(segment, bundle_));
    if (cells[i].empty()) continue;
    rows.push_back({subjects_[i].conditions, std::move(cells[i]), subjects_[i].truth});
    entries[i]["row"] = rows.size();
  }
  if (!rows.empty()) image::write_png(folder.staging_path() / "sheet.png", sample_sheet(rows));
  // A model may write bytes that are no text.
  write_file_atomically(folder.staging_path() / kIndexName,
                        std::string_view(json_text(Json(entries), 2) + "\n"));
  folder.commit();
  if (made < subjects_.size())
    log_warning("samples after step ", step, ": ", subjects_.size() - made, " of ", subjects_.size(),
                " were not made: ", problem);
}

void forget_samples(const fs::path& output, std::int64_t done_steps) {
  std::vector<fs::path> forgotten;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(samples_folder(output), missing)) {
    const auto step = checkpoint::step_of(entry.path());
    if ((step && *step > done_steps) || entry.path().extension() == ".tmp") forgotten.push_back(entry.path());
  }
  std::error_code ignored;
  for (const fs::path& path : forgotten) fs::remove_all(path, ignored);
}

}  // namespace omni::training
