#include "object_entry.h"

#include <cmath>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/data/data_set.h"

namespace omni::data {
namespace {

using nlohmann::json;
using ordered = nlohmann::ordered_json;

constexpr std::uint64_t kMaximumOffset = std::uint64_t{1} << 50;

ordered describe(const ObjectEntry& entry, bool with_places) {
  const ObjectRecord& r = entry.record;
  ordered out;
  out["id"] = r.id;
  out["split"] = split_name(r.split);
  out["class"] = r.class_name;
  out["attributes"] = r.attributes;
  out["captions"] = ordered::array();
  for (const Caption& c : r.captions) {
    ordered caption = {{"text", c.text}, {"complete", c.kind == CaptionKind::complete}};
    if (c.kind == CaptionKind::brief || c.kind == CaptionKind::reworded)
      caption["kind"] = caption_kind_name(c.kind);
    out["captions"].push_back(std::move(caption));
  }
  out["longest_side_m"] = r.longest_side_m;
  out["parts"] = ordered::array();
  for (const ColouredPart& p : r.parts)
    out["parts"].push_back(
        {{"name", p.name}, {"colour", p.colour_name}, {"srgb", {p.colour.x, p.colour.y, p.colour.z}}});
  if (entry.procedural_object >= 0) out["object"] = entry.procedural_object;
  if (const StoredLabel& label = entry.label; label.mode)
    out["label"] = {{"mode", label_mode_name(*label.mode)},
                    {"orientation_consistency", label.orientation_consistency},
                    {"thickens_sheets", label.thickens_sheets}};
  if (with_places) {
    out["shard"] = entry.shard;
    out["mesh"] = {entry.mesh.offset, entry.mesh.size};
  }
  out["renders"] = ordered::array();
  for (const StoredRender& render : entry.renders) {
    ordered view = {{"view", view_name(render.camera)},
                    {"azimuth", render.camera.azimuth_degrees},
                    {"elevation", render.camera.elevation_degrees},
                    {"distance", render.camera.distance},
                    {"vertical_fov", render.camera.vertical_fov_degrees}};
    if (with_places) view["bytes"] = {render.bytes.offset, render.bytes.size};
    out["renders"].push_back(std::move(view));
  }
  return out;
}

// Typed access to one JSON object; every failure names the line and the field.
class Fields {
 public:
  Fields(const json& object, const std::string& place) : object_(object), place_(place) {
    if (!object.is_object()) fail(ErrorKind::input, "reading ", place, ": not a JSON object");
  }
  const json& at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) wrong(key, "is missing");
    return *found;
  }
  bool has(const char* key) const { return object_.contains(key); }
  std::string text(const char* key) const {
    if (!at(key).is_string()) wrong(key, "is not a text");
    return at(key).get<std::string>();
  }
  bool flag(const char* key) const {
    if (!at(key).is_boolean()) wrong(key, "is not true or false");
    return at(key).get<bool>();
  }
  float number(const char* key) const {
    if (!at(key).is_number()) wrong(key, "is not a number");
    const double value = at(key).get<double>();
    if (!std::isfinite(value) || std::abs(value) > 1e9) wrong(key, "is out of range");
    return static_cast<float>(value);
  }
  std::uint64_t count(const char* key) const { return unsigned_value(at(key), key); }
  ByteRange range(const char* key) const {
    const json& pair = list(key);
    if (pair.size() != 2) wrong(key, "is not [offset, size]");
    return {unsigned_value(pair[0], key), unsigned_value(pair[1], key)};
  }
  const json& list(const char* key) const {
    if (!at(key).is_array()) wrong(key, "is not a list");
    return at(key);
  }
  [[noreturn]] void wrong(const char* key, const char* what) const {
    fail(ErrorKind::input, "reading ", place_, ": \"", key, "\" ", what, ". The file is damaged or foreign");
  }

 private:
  std::uint64_t unsigned_value(const json& value, const char* key) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMaximumOffset)
      wrong(key, "is not a valid count");
    return value.get<std::uint64_t>();
  }
  const json& object_;
  const std::string& place_;
};

geometry::LabelMode read_label_mode(const Fields& label) {
  const std::string name = label.text("mode");
  for (const geometry::LabelMode mode : {geometry::LabelMode::winding, geometry::LabelMode::flood})
    if (name == label_mode_name(mode)) return mode;
  label.wrong("mode", "is unknown");
}

CaptionKind read_caption_kind(const Fields& caption) {
  const bool complete = caption.flag("complete");
  if (!caption.has("kind")) return complete ? CaptionKind::complete : CaptionKind::partial;
  const std::string name = caption.text("kind");
  for (const CaptionKind kind : {CaptionKind::brief, CaptionKind::reworded})
    if (name == caption_kind_name(kind) && !complete) return kind;
  caption.wrong("kind", "is unknown");
}

void read_record(const Fields& fields, const std::string& place, ObjectRecord& record) {
  record.id = fields.text("id");
  if (!is_valid_id(record.id))
    fields.wrong("id", "holds other characters than letters, digits, \"_\" and \"-\"");
  const std::string split = fields.text("split");
  try {
    record.split = parse_split(split);
  } catch (const Error&) {
    fields.wrong("split", "is unknown");
  }
  record.class_name = fields.text("class");
  if (!fields.at("attributes").is_object()) fields.wrong("attributes", "is not a mapping");
  for (const auto& [name, word] : fields.at("attributes").items()) {
    if (!word.is_string()) fields.wrong("attributes", "holds something else than texts");
    record.attributes[name] = word.get<std::string>();
  }
  for (const json& item : fields.list("captions")) {
    const Fields caption(item, place);
    record.captions.push_back({caption.text("text"), read_caption_kind(caption)});
  }
  record.longest_side_m = fields.number("longest_side_m");
  if (!(record.longest_side_m > 0)) fields.wrong("longest_side_m", "is not positive");
  for (const json& item : fields.list("parts")) {
    const Fields part(item, place);
    const json& rgb = part.list("srgb");
    if (rgb.size() != 3 || !rgb[0].is_number() || !rgb[1].is_number() || !rgb[2].is_number())
      part.wrong("srgb", "is not three numbers");
    record.parts.push_back({part.text("name"),
                            part.text("colour"),
                            {rgb[0].get<float>(), rgb[1].get<float>(), rgb[2].get<float>()}});
  }
}

}  // namespace

bool is_valid_id(std::string_view id) {
  if (id.empty() || id.size() > 80) return false;
  for (const char c : id)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
      return false;
  return true;
}

std::string write_object_entry(const ObjectEntry& entry) { return json_text(describe(entry, true)); }

std::string write_object_description(const ObjectEntry& entry) { return json_text(describe(entry, false)); }

ObjectEntry read_object_entry(std::string_view line, const std::string& place) {
  // Deep nesting would overflow the parser's stack of values; no entry nests deeper than four levels.
  int depth = 0, deepest = 0;
  for (const char c : line) {
    depth += (c == '[' || c == '{') - (c == ']' || c == '}');
    deepest = std::max(deepest, depth);
  }
  const json parsed = deepest > 64 ? json() : parse_json_or_discard(line);
  if (parsed.is_discarded() || deepest > 64)
    fail(ErrorKind::input, "reading ", place, ": not valid JSON. The file is damaged or truncated");
  const Fields fields(parsed, place);
  ObjectEntry entry;
  read_record(fields, place, entry.record);
  if (fields.has("object")) entry.procedural_object = static_cast<std::int64_t>(fields.count("object"));
  if (fields.has("label")) {  // not in older data sets
    const Fields label(fields.at("label"), place);
    entry.label = {read_label_mode(label), label.number("orientation_consistency"),
                   label.flag("thickens_sheets")};
  }
  const std::uint64_t shard = fields.count("shard");
  if (shard > 99999) fields.wrong("shard", "is not a shard number");
  entry.shard = static_cast<int>(shard);
  entry.mesh = fields.range("mesh");
  for (const json& item : fields.list("renders")) {
    const Fields render(item, place);
    StoredRender stored;
    stored.camera.azimuth_degrees = render.number("azimuth");
    stored.camera.elevation_degrees = render.number("elevation");
    stored.camera.distance = render.number("distance");
    stored.camera.vertical_fov_degrees = render.number("vertical_fov");
    stored.bytes = render.range("bytes");
    entry.renders.push_back(stored);
  }
  return entry;
}

}  // namespace omni::data
