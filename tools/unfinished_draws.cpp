#include "unfinished_draws.h"

#include <cmath>
#include <iterator>
#include <optional>
#include <set>

#include "omni/core/crc32c.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"
#include "omni/core/random.h"
#include "omni/core/text_format.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using generation::DrawnChoices;
using generation::DrawPlace;
using Json = nlohmann::ordered_json;

constexpr const char* kChecksum = "crc32c";  // of the rest of its line

std::string checked_line(Json line) {
  line[kChecksum] = crc32c(json_text(line));
  return json_text(line) + "\n";
}

// A line without its checksum; nothing where the two do not fit.
std::optional<Json> parse_line(std::string_view text) {
  Json line = parse_json_or_discard<Json>(text);
  if (!line.is_object() || !line.contains(kChecksum)) return std::nullopt;
  const Json checksum = line[kChecksum];
  line.erase(kChecksum);
  return checksum == crc32c(json_text(line)) ? std::optional(std::move(line)) : std::nullopt;
}

}  // namespace

UnfinishedDraws::UnfinishedDraws(fs::path file, std::string_view run, std::int64_t best_of, Period period)
    : file_(std::move(file)),
      head_(checked_line({{"format", "omni unfinished draws"}, {"run", hexadecimal(hash_string(run))}})),
      best_of_(static_cast<std::uint64_t>(best_of)),
      period_(period) {
  if (fs::exists(file_)) read();
}

void UnfinishedDraws::tell_anew(const std::string& what, const char* why) const {
  log_warning(file_, ": ", what, " is ", why, ": drawn anew");
}

void UnfinishedDraws::read() {
  const std::string text = read_file_text(file_);
  if (!text.starts_with(head_)) return tell_anew("what was drawn", "of another run or damaged");
  std::size_t number = 2;
  for (std::size_t begin = head_.size(); begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (!read_draw(std::string_view(text).substr(begin, end - begin)))
      tell_anew(concat("the draw of line ", number), "damaged");
    begin = end + 1;
  }
}

void UnfinishedDraws::match(std::span<const Sample> wanted) {
  std::map<std::string_view, const Sample*> by_name;
  for (const Sample& sample : wanted) by_name[sample.name] = &sample;
  std::size_t going_on = 0, of_no_sample = 0;
  std::set<std::string> changed;
  for (auto at = draws_.begin(); at != draws_.end();) {
    const auto found = by_name.find(at->first.first);
    const bool is_wanted = found != by_name.end(), same = is_wanted && at->second.is_of(*found->second);
    if (is_wanted && !same && changed.insert(at->first.first).second)
      tell_anew(at->first.first, "of another prompt or seed");
    going_on += same;
    of_no_sample += !is_wanted;
    at = is_wanted && !same ? draws_.erase(at) : std::next(at);
  }
  if (going_on > 0)
    log_info(file_, ": ", going_on, going_on == 1 ? " draw goes" : " draws go",
             " on where the run before was stopped");
  if (of_no_sample > 0)
    log_info(file_, ": ", of_no_sample, of_no_sample == 1 ? " draw is" : " draws are",
             " of no sample that is asked for now, and kept until all of those are made");
}

bool UnfinishedDraws::read_draw(std::string_view text) {
  const std::optional<Json> line = parse_line(text);
  if (!line) return false;
  try {
    Draw draw;
    line->at("prompt").get_to(draw.prompt);
    line->at("seed").get_to(draw.seed);
    line->at("tokens").get_to(draw.drawn.tokens);
    line->at("log_probability").get_to(draw.drawn.log_probability);
    line->at("seconds").get_to(draw.drawn.seconds);
    if (!std::isfinite(draw.drawn.log_probability) || !std::isfinite(draw.drawn.seconds)) return false;
    draws_[{line->at("name").get<std::string>(), line->at("draw").get<std::uint64_t>()}] = std::move(draw);
  } catch (const Json::exception&) {  // a part is missing or of another kind
    return false;
  }
  return true;
}

void UnfinishedDraws::forget(const std::string& name) {
  const auto first = draws_.lower_bound({name, 0});
  auto last = first;
  while (last != draws_.end() && last->first.first == name) ++last;
  draws_.erase(first, last);
}

void UnfinishedDraws::forget_all() { draws_.clear(); }

void UnfinishedDraws::save() {
  saved_ = std::chrono::steady_clock::now();
  if (draws_.empty()) {
    std::error_code error;
    fs::remove(file_, error);
    if (error) fail(ErrorKind::io, "removing ", file_, ", which is of no more use: ", error.message());
    return;
  }
  AtomicFile file(file_);
  file.write(head_);
  for (const auto& [key, draw] : draws_)
    file.write(checked_line({{"name", key.first},
                             {"prompt", draw.prompt},
                             {"seed", draw.seed},
                             {"draw", key.second},
                             {"log_probability", draw.drawn.log_probability},
                             {"seconds", draw.drawn.seconds},
                             {"tokens", draw.drawn.tokens}}));
  file.commit();
}

std::pair<UnfinishedDraws::Key, UnfinishedDraws::Sample> UnfinishedDraws::place_of(
    const DrawPlace& place) const {
  Sample sample = naming_(place.request, place.number / best_of_);
  Key key{sample.name, place.number % best_of_};
  return {std::move(key), std::move(sample)};
}

DrawnChoices UnfinishedDraws::begun(const DrawPlace& place) {
  const auto [key, sample] = place_of(place);
  const auto found = draws_.find(key);
  if (found == draws_.end()) return {};
  if (found->second.is_of(sample)) return found->second.drawn;
  tell_anew(sample.name, "of another prompt or seed");
  draws_.erase(found);
  return {};
}

void UnfinishedDraws::refuse(const DrawPlace& place) {
  const auto [key, sample] = place_of(place);
  tell_anew(sample.name, "no sample of this model");
  draws_.erase(key);
}

void UnfinishedDraws::note(std::span<const DrawPlace> places, std::span<const DrawnChoices> drawn,
                           bool ended) {
  // Meshes of a batch that has ended may take long, and a second Ctrl-C meanwhile leaves no time to save.
  if (!ended && !interrupt_requested() && std::chrono::steady_clock::now() - saved_ < period_) return;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (drawn[i].tokens.empty()) continue;
    auto [key, sample] = place_of(places[i]);
    draws_[std::move(key)] = {std::move(sample.prompt), sample.seed, drawn[i]};
  }
  save();
}

}  // namespace omni::tools
