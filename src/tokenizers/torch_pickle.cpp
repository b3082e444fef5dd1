#include "torch_pickle.h"

#include <algorithm>
#include <unordered_map>

#include "omni/core/error.h"

namespace omni::tokenizers {
namespace {

using Kind = PickleValue::Kind;
using Value = PickleValue*;

// "os.system" of the global "os system", fit for a message.
std::string called_name(std::string global) {
  constexpr std::size_t longest = 80;
  global.resize(std::min(global.size(), longest));
  for (char& c : global) {
    if (c == ' ') c = '.';
    if (c < '!' || c > '~') c = '?';
  }
  return global;
}

class Machine {
 public:
  explicit Machine(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Pickle run() {
    for (;;) {
      const auto opcode = static_cast<unsigned char>(number(1));
      if (opcode == '.') {
        pickle_.root = pop();
        return std::move(pickle_);
      }
      if (!push_constant(opcode) && !use_memory(opcode) && !build_container(opcode) && !call(opcode)) {
        fail(ErrorKind::input, "the pickle uses the opcode ", int(opcode),
             ", which no state dictionary needs");
      }
    }
  }

 private:
  Value make(Kind kind) {
    PickleValue& value = pickle_.values.emplace_back();
    value.kind = kind;
    return &value;
  }
  Value make_integer(std::int64_t integer, Kind kind = Kind::integer) {
    const Value value = make(kind);
    value->integer = integer;
    return value;
  }
  Value make_text(std::string text, Kind kind = Kind::text) {
    const Value value = make(kind);
    value->text = std::move(text);
    return value;
  }

  std::string take(std::uint64_t size) {
    if (size > bytes_.size() - at_) fail(ErrorKind::input, "the pickle is truncated");
    const auto* const begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
    at_ += size;
    return {begin, begin + size};
  }
  std::uint64_t number(int size) {
    std::uint64_t value = 0;
    const std::string field = take(size);
    for (int i = size - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(field[i]);
    return value;
  }
  std::string line() {
    std::string text;
    for (char c = take(1)[0]; c != '\n'; c = take(1)[0]) text.push_back(c);
    return text;
  }

  void push(Value value) { stack_.push_back(value); }
  Value pop() {
    if (stack_.empty()) fail(ErrorKind::input, "the pickle takes more from its stack than it put there");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }
  Value top() const {
    if (stack_.empty()) fail(ErrorKind::input, "the pickle uses an empty stack");
    return stack_.back();
  }
  std::vector<Value> pop_to_mark() {
    std::size_t begin = stack_.size();
    while (begin > 0 && stack_[begin - 1]->kind != Kind::mark) --begin;
    if (begin == 0) fail(ErrorKind::input, "the pickle lacks a mark on its stack");
    std::vector<Value> values(stack_.begin() + static_cast<std::ptrdiff_t>(begin), stack_.end());
    stack_.resize(begin - 1);
    return values;
  }

  static std::int64_t signed_integer(const std::string& bytes) {
    if (bytes.size() > 8) fail(ErrorKind::input, "the pickle holds an integer of ", bytes.size(), " bytes");
    std::uint64_t value = !bytes.empty() && (bytes.back() & 0x80) ? ~std::uint64_t{0} : 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return static_cast<std::int64_t>(value);
  }

  bool push_constant(unsigned char opcode) {
    switch (opcode) {
      case 0x80:
        number(1);
        return true;  // PROTO
      case 0x95:
        number(8);
        return true;  // FRAME
      case 'N':
        push(make(Kind::none));
        return true;
      case 0x88:
        push(make_integer(1, Kind::boolean));
        return true;  // NEWTRUE
      case 0x89:
        push(make_integer(0, Kind::boolean));
        return true;  // NEWFALSE
      case 'K':
        push(make_integer(static_cast<std::int64_t>(number(1))));
        return true;
      case 'M':
        push(make_integer(static_cast<std::int64_t>(number(2))));
        return true;
      case 'J':
        push(make_integer(signed_integer(take(4))));
        return true;
      case 0x8A:
        push(make_integer(signed_integer(take(number(1)))));
        return true;  // LONG1
      case 'G':
        take(8);
        push(make(Kind::real));
        return true;  // BINFLOAT; its value is never needed
      case 'X':
        push(make_text(take(number(4))));
        return true;  // BINUNICODE
      case 0x8C:
        push(make_text(take(number(1))));
        return true;  // SHORT_BINUNICODE
      case 0x8D:
        push(make_text(take(number(8))));
        return true;  // BINUNICODE8
      case 'U':
        push(make_text(take(number(1))));
        return true;  // SHORT_BINSTRING
      case 'C':
        push(make_text(take(number(1))));
        return true;  // SHORT_BINBYTES
      case 'c': {
        std::string module = line();
        push(make_text(module + " " + line(), Kind::global));
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const Value name = pop(), module = pop();
        push(make_text(module->text + " " + name->text, Kind::global));
        return true;
      }
      default:
        return false;
    }
  }

  bool use_memory(unsigned char opcode) {
    switch (opcode) {
      case 'q':
        memory_[number(1)] = top();
        return true;
      case 'r':
        memory_[number(4)] = top();
        return true;
      case 0x94:
        memory_[memory_.size()] = top();
        return true;  // MEMOIZE
      case 'h':
        push(recall(number(1)));
        return true;
      case 'j':
        push(recall(number(4)));
        return true;
      case '0':
        pop();
        return true;
      default:
        return false;
    }
  }
  Value recall(std::uint64_t key) const {
    const auto found = memory_.find(key);
    if (found == memory_.end()) fail(ErrorKind::input, "the pickle recalls what it never stored");
    return found->second;
  }

  Value make_tuple(const std::vector<Value>& items) {
    const Value tuple = make(Kind::tuple);
    tuple->items.assign(items.begin(), items.end());
    return tuple;
  }
  void push_tuple(int size) {
    std::vector<Value> items(size);
    for (int i = size - 1; i >= 0; --i) items[i] = pop();
    push(make_tuple(items));
  }
  void add_entries(const std::vector<Value>& values) {
    PickleValue& target = *top();
    if (values.size() % 2 != 0) fail(ErrorKind::input, "the pickle sets a key without a value");
    if (target.kind == Kind::opaque) return;
    if (target.kind != Kind::dictionary)
      fail(ErrorKind::input, "the pickle sets a key of something that has none");
    for (std::size_t i = 0; i < values.size(); i += 2) target.entries.emplace_back(values[i], values[i + 1]);
  }
  void add_items(const std::vector<Value>& values) {
    PickleValue& target = *top();
    if (target.kind == Kind::opaque) return;
    if (target.kind != Kind::list) fail(ErrorKind::input, "the pickle appends to something that is no list");
    target.items.insert(target.items.end(), values.begin(), values.end());
  }

  bool build_container(unsigned char opcode) {
    switch (opcode) {
      case '(':
        push(make(Kind::mark));
        return true;
      case '}':
        push(make(Kind::dictionary));
        return true;
      case ']':
        push(make(Kind::list));
        return true;
      case ')':
        push(make(Kind::tuple));
        return true;
      case 't':
        push(make_tuple(pop_to_mark()));
        return true;
      case 0x85:
        push_tuple(1);
        return true;
      case 0x86:
        push_tuple(2);
        return true;
      case 0x87:
        push_tuple(3);
        return true;
      case 's': {
        const Value value = pop(), key = pop();
        add_entries({key, value});
        return true;
      }
      case 'u':
        add_entries(pop_to_mark());
        return true;
      case 'a':
        add_items({pop()});
        return true;
      case 'e':
        add_items(pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool call(unsigned char opcode) {
    switch (opcode) {
      case 'b':
        pop();
        return true;  // BUILD: the attributes of a state dictionary (its _metadata) are left out
      case 'Q': {     // BINPERSID
        const Value id = pop();
        push(describe_storage(*id));
        return true;
      }
      case 'R':
      case 0x81: {  // REDUCE, NEWOBJ
        const Value arguments = pop(), callable = pop();
        push(describe_call(*callable, *arguments));
        return true;
      }
      default:
        return false;
    }
  }

  // ("storage", torch.FloatStorage, key, device, element count)
  Value describe_storage(const PickleValue& id) {
    const bool fits = id.kind == Kind::tuple && id.items.size() >= 5 && id.items[0]->text == "storage" &&
                      id.items[1]->kind == Kind::global && id.items[2]->kind == Kind::text &&
                      id.items[4]->kind == Kind::integer;
    if (!fits) fail(ErrorKind::input, "the pickle refers to something that is no tensor storage");
    const Value storage = make(Kind::storage);
    const std::string& global = id.items[1]->text;
    storage->dtype = global.substr(global.find(' ') + 1);
    storage->text = id.items[2]->text;
    storage->integer = id.items[4]->integer;
    return storage;
  }

  static std::vector<std::int64_t> integers(const PickleValue& tuple) {
    std::vector<std::int64_t> out;
    for (const PickleValue* const item : tuple.items) {
      if (item->kind != Kind::integer) fail(ErrorKind::input, "a tensor's sizes are no integers");
      out.push_back(item->integer);
    }
    return out;
  }

  Value describe_call(const PickleValue& callable, const PickleValue& arguments) {
    const std::string& name = callable.text;
    if (name == "collections OrderedDict") return make(Kind::dictionary);
    const auto& items = arguments.items;
    if (name == "torch._utils _rebuild_parameter" && !items.empty() && items[0]->kind == Kind::tensor) {
      const Value tensor = make(Kind::tensor);
      *tensor = *items[0];
      return tensor;
    }
    // Values that stand beside tensors, in what trainers save with them.
    if (name == "torch Size" || name == "_codecs encode") return make(Kind::opaque);
    if (name != "torch._utils _rebuild_tensor_v2")
      fail(ErrorKind::input, "the pickle calls '", called_name(name),
           "', which no tensor needs and which could do anything. Save the state dictionary alone, or as "
           "safetensors");
    if (items.size() < 4 || items[0]->kind != Kind::storage || items[1]->kind != Kind::integer) {
      fail(ErrorKind::input, "the pickle describes a tensor without its storage");
    }
    const Value tensor = make(Kind::tensor);
    tensor->items = {items[0]};
    tensor->integer = items[1]->integer;
    tensor->sizes = integers(*items[2]);
    tensor->strides = integers(*items[3]);
    return tensor;
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  Pickle pickle_;
  std::vector<Value> stack_;
  std::unordered_map<std::uint64_t, Value> memory_;
};

}  // namespace

Pickle read_pickle(std::span<const std::byte> bytes) { return Machine(bytes).run(); }

}  // namespace omni::tokenizers
