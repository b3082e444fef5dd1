#include "meeting.h"

#include <algorithm>
#include <map>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/json_text.h"
#include "verdict.h"

namespace omni::distributed {
namespace {

using Clock = std::chrono::steady_clock;

std::string seconds_text(std::chrono::milliseconds time) {
  return concat(std::chrono::duration<double>(time).count(), " s");
}

// "0, 1 and 3"
std::string list(const std::vector<int>& ranks) {
  std::string text;
  for (std::size_t i = 0; i < ranks.size(); ++i)
    text += concat(i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ", ranks[i]);
  return (ranks.size() == 1 ? "rank " : "ranks ") + text;
}

// "ranks 0 and 2 (node1, ...) have a, rank 1 (node1) has b", of what is said as ["name", "value"].
std::string describe(const std::map<std::string, std::vector<int>>& ranks_of, const Peers& peers) {
  std::map<int, std::string> parts;  // by their first rank
  for (const auto& [said, ranks] : ranks_of) {
    const bool one = ranks.size() == 1;
    const std::string value = said.empty() ? "none" : parse_json(said)[1].get<std::string>();
    parts[ranks.front()] =
        concat(list(ranks), " (", peers.hosts[ranks.front()], one ? ") has " : ", ...) have ", value);
  }
  std::string text;
  for (const auto& [first, part] : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace

std::vector<std::string> gather(Store& store, int size, const std::string& key,
                                std::chrono::milliseconds patience) {
  const auto end = Clock::now() + patience;
  std::vector<std::string> values;
  std::vector<int> missing;
  for (int rank = 0; rank < size; ++rank) {
    std::optional<std::string> value;
    do {
      constexpr std::chrono::milliseconds kLook(500);  // whether another has failed
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
      value = store.wait(key + std::to_string(rank), std::clamp(left, std::chrono::milliseconds(0), kLook));
      if (value) break;
      if (interrupt_requested())
        fail(stop_kind(), "waiting for ", size, " ranks: asked to stop before all were there");
      const std::optional<std::string> verdict = store.get(kVerdictKey);
      if (verdict && !verdict->empty()) {
        const Verdict failed = unpack_verdict(*verdict);
        throw Error(failed.kind, failed.text);
      }
    } while (Clock::now() < end);
    if (!value) missing.push_back(rank);
    values.push_back(value.value_or(""));
  }
  if (!missing.empty())
    fail(ErrorKind::io, "waiting for ", size, " ranks: ", list(missing),
         missing.size() == 1 ? " has" : " have", " not come within ", seconds_text(patience),
         ". See what the launcher says of them, and that their hosts reach this one");
  return values;
}

std::unique_ptr<Store> open_store(const LaunchEnvironment& launch, std::chrono::milliseconds patience) {
  if (launch.rank == 0 && !launch.launcher_serves_store)
    return Store::serve(launch.master_port, launch.store_prefix);
  return Store::connect({launch.master_address, launch.master_port}, launch.store_prefix, patience);
}

Peers meet(Store& store, const LaunchEnvironment& launch, std::chrono::milliseconds patience) {
  store.set_first(kVerdictKey, "");
  store.set(concat("host/", launch.rank), launch.host);
  return {launch.rank, gather(store, launch.world_size, "host/", patience)};
}

void compare_fingerprints(Store& store, const Peers& peers, int number, const std::vector<Fingerprint>& mine,
                          std::chrono::milliseconds patience) {
  const std::string key = concat("fingerprints/", number, "/");
  nlohmann::json said = nlohmann::json::array();
  for (const Fingerprint& one : mine) said.push_back({one.name, one.value});
  store.set(key + std::to_string(peers.rank), json_text(said));
  std::vector<nlohmann::json> all;
  for (const std::string& value : gather(store, peers.size(), key, patience))
    all.push_back(parse_json(value));
  const auto longest = std::max_element(all.begin(), all.end(),
                                        [](const auto& a, const auto& b) { return a.size() < b.size(); });
  for (std::size_t i = 0; i < longest->size(); ++i) {
    std::map<std::string, std::vector<int>> ranks_of;  // what they have
    for (int rank = 0; rank < peers.size(); ++rank)
      ranks_of[i < all[rank].size() ? json_text(all[rank][i]) : ""].push_back(rank);
    if (ranks_of.size() == 1) continue;
    throw CommonError(
        ErrorKind::usage,
        concat("the ranks differ in '", (*longest)[i][0].get<std::string>(), "': ", describe(ranks_of, peers),
               ". Start every rank with the same program, config and files, on the same kind of device"));
  }
}

}  // namespace omni::distributed
