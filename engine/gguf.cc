#include "engine/gguf.h"

#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace lectern {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxKeyBytes = 65535;  // the specification's limit
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;

struct TypeInfo {
  const char* name;
  uint64_t bytes;  // 0: of variable size
};
constexpr TypeInfo kTypes[] = {{"uint8", 1},  {"int8", 1},    {"uint16", 2}, {"int16", 2},  {"uint32", 4},
                               {"int32", 4},  {"float32", 4}, {"bool", 1},   {"string", 0}, {"array", 0},
                               {"uint64", 8}, {"int64", 8},   {"float64", 8}};

const TypeInfo& info(GgufType type) {
  return kTypes[static_cast<uint32_t>(type)];
}

// ggml's tensor type ids. Those without a DType are known by name only, to say what a file needs.
struct TensorType {
  const char* name;
  std::optional<DType> dtype;
};
constexpr TensorType kTensorTypes[] = {{"F32", DType::kF32},
                                       {"F16", DType::kF16},
                                       {"Q4_0", DType::kQ4_0},
                                       {"Q4_1", DType::kQ4_1},
                                       {"Q4_2", {}},
                                       {"Q4_3", {}},
                                       {"Q5_0", DType::kQ5_0},
                                       {"Q5_1", DType::kQ5_1},
                                       {"Q8_0", DType::kQ8_0},
                                       {"Q8_1", {}},
                                       {"Q2_K", DType::kQ2_K},
                                       {"Q3_K", DType::kQ3_K},
                                       {"Q4_K", DType::kQ4_K},
                                       {"Q5_K", DType::kQ5_K},
                                       {"Q6_K", DType::kQ6_K},
                                       {"Q8_K", {}},
                                       {"IQ2_XXS", {}},
                                       {"IQ2_XS", {}},
                                       {"IQ3_XXS", {}},
                                       {"IQ1_S", {}},
                                       {"IQ4_NL", DType::kIQ4_NL},
                                       {"IQ3_S", {}},
                                       {"IQ2_S", {}},
                                       {"IQ4_XS", DType::kIQ4_XS},
                                       {"I8", {}},
                                       {"I16", {}},
                                       {"I32", {}},
                                       {"I64", {}},
                                       {"F64", {}},
                                       {"IQ1_M", {}},
                                       {"BF16", DType::kBF16},
                                       {"Q4_0_4_4", {}},
                                       {"Q4_0_4_8", {}},
                                       {"Q4_0_8_8", {}},
                                       {"TQ1_0", {}},
                                       {"TQ2_0", {}},
                                       {"IQ4_NL_4_4", {}},
                                       {"IQ4_NL_4_8", {}},
                                       {"IQ4_NL_8_8", {}},
                                       {"MXFP4", {}}};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view read_string(ByteReader& reader, std::string_view field) {
  const auto length = reader.read<uint64_t>(field);
  return text_of(reader.take(length, field));
}

std::string_view read_name(ByteReader& reader, const std::string& field, uint64_t max_bytes) {
  const std::string_view name = read_string(reader, field);
  if (name.empty()) reader.fail(field, "is empty");
  if (name.size() > max_bytes) reader.fail(field, "is longer than " + std::to_string(max_bytes) + " bytes");
  return name;
}

GgufType read_type(ByteReader& reader, const std::string& field) {
  const auto id = reader.read<uint32_t>(field);
  if (id >= std::size(kTypes)) reader.fail(field, "is the unknown type id " + std::to_string(id));
  return static_cast<GgufType>(id);
}

void read_array(ByteReader& reader, const std::string& field, GgufValue& value) {
  value.element_type = read_type(reader, "element type of " + field);
  if (value.element_type == GgufType::kArray) reader.fail(field, "is an array of arrays");
  const uint64_t element_bytes = info(value.element_type).bytes;
  // A string takes at least its length.
  value.count = reader.read_count("length of " + field, element_bytes > 0 ? element_bytes : 8);
  if (element_bytes > 0) {
    value.bytes = reader.take(value.count * element_bytes, field);
    return;
  }
  ByteReader start = reader;
  for (uint64_t i = 0; i < value.count; ++i) read_string(reader, field);
  value.bytes = start.take(reader.offset() - start.offset(), field);
}

GgufValue read_value(ByteReader& reader, std::string_view key) {
  const std::string field = "key " + quote(key);
  GgufValue value;
  value.type = read_type(reader, "type of " + field);
  value.offset = reader.offset();
  if (value.type == GgufType::kArray) {
    read_array(reader, field, value);
  } else if (value.type == GgufType::kString) {
    const std::string_view text = read_string(reader, field);
    value.bytes = std::as_bytes(std::span(text.data(), text.size()));
  } else {
    value.bytes = reader.take(info(value.type).bytes, field);
  }
  return value;
}

DType read_dtype(ByteReader& reader, const std::string& field) {
  const auto id = reader.read<uint32_t>("type of " + field);
  if (id >= std::size(kTensorTypes))
    reader.fail("type of " + field, "is the unknown id " + std::to_string(id));
  if (!kTensorTypes[id].dtype) {
    throw Error(
        ErrorCode::kUnsupported,
        reader.origin() + ": " + field + " is stored as " + kTensorTypes[id].name +
            ", which Lectern does not read; use a file quantised as Q4_K_M, Q8_0 or another common type");
  }
  return *kTensorTypes[id].dtype;
}

struct TensorRecord {
  std::string_view name;
  TensorView view;  // without data
  uint64_t offset;  // from the beginning of the data section
  uint64_t bytes;
};

TensorRecord read_tensor_record(ByteReader& reader, uint64_t index, uint64_t alignment) {
  TensorRecord tensor;
  tensor.name = read_name(reader, "name of tensor " + std::to_string(index), kMaxTensorNameBytes);
  const std::string field = "tensor " + quote(tensor.name);
  const auto n_dims = reader.read<uint32_t>("number of dimensions of " + field);
  if (n_dims < 1 || n_dims > kMaxTensorDimensions)
    reader.fail(field, "has " + std::to_string(n_dims) + " dimensions; 1 to 4 are possible");
  tensor.view.shape.resize(n_dims);
  for (uint32_t i = n_dims; i-- > 0;) {  // the file has the innermost dimension first
    tensor.view.shape[i] = reader.read<uint64_t>("shape of " + field);
    if (tensor.view.shape[i] == 0) reader.fail("shape of " + field, "has a dimension of zero");
  }
  tensor.view.dtype = read_dtype(reader, field);
  if (!tensor_bytes(tensor.view.dtype, tensor.view.shape, tensor.bytes)) {
    reader.fail(
        "shape " + describe_shape(tensor.view.shape) + " of " + field,
        std::string("is impossible for the type ") + kDTypeInfo[static_cast<int>(tensor.view.dtype)].name);
  }
  tensor.offset = reader.read<uint64_t>("offset of " + field);
  if (tensor.offset % alignment != 0)
    reader.fail("offset of " + field, "is not a multiple of the alignment " + std::to_string(alignment));
  return tensor;
}

void check_version(ByteReader& reader, std::span<const std::byte> bytes) {
  if (reader.remaining() < 4 || reader.read<uint32_t>("magic") != kMagic) {
    const bool is_pointer = text_of(bytes).starts_with("version https://git-lfs");
    throw Error(
        ErrorCode::kCorrupt,
        reader.origin() + (is_pointer ? ": is a Git LFS pointer, not the model; fetch it with git lfs pull"
                                      : ": is not a GGUF file (it begins with " +
                                            quote(text_of(bytes).substr(0, 4)) + ", not 'GGUF')"));
  }
  const auto version = reader.read<uint32_t>("version");
  if (version == 2 || version == 3) return;
  std::string what = "GGUF version " + std::to_string(version);
  if (version != 0 && (version & 0xffff) == 0) what = "a big-endian GGUF file";
  throw Error(ErrorCode::kUnsupported,
              reader.origin() + ": is " + what + "; Lectern reads versions 2 and 3, little-endian");
}

uint64_t capped_count(ByteReader& reader, const char* field, uint64_t min_entry_bytes, uint64_t max) {
  const uint64_t count = reader.read_count(field, min_entry_bytes);
  if (count > max)
    reader.fail(field, "announces " + std::to_string(count) + ", more than " + std::to_string(max));
  return count;
}

}  // namespace

GgufFile::GgufFile(std::span<const std::byte> bytes, std::string origin) : origin_(std::move(origin)) {
  ByteReader reader(bytes, origin_);
  check_version(reader, bytes);
  // The smallest entries: a name of one letter, one dimension; a key of one letter, one byte.
  const uint64_t n_tensors = capped_count(reader, "number of tensors", 9 + 4 + 8 + 4 + 8, kMaxTensors);
  const uint64_t n_keys = capped_count(reader, "number of keys", 9 + 4 + 1, kMaxKeys);

  for (uint64_t i = 0; i < n_keys; ++i) {
    const std::string_view key = read_name(reader, "name of key " + std::to_string(i), kMaxKeyBytes);
    if (has(key)) reader.fail("key " + quote(key), "appears twice");
    metadata_.emplace(key, read_value(reader, key));
  }
  const auto alignment = static_cast<uint64_t>(integer_or("general.alignment", kDefaultAlignment));
  if (alignment < 8 || alignment > kMaxAlignment || (alignment & (alignment - 1)) != 0) {
    throw Error(ErrorCode::kCorrupt, origin_ + ": key 'general.alignment' is " + std::to_string(alignment) +
                                         "; it must be a power of two from 8 to " +
                                         std::to_string(kMaxAlignment));
  }

  std::vector<TensorRecord> records;
  records.reserve(n_tensors);
  for (uint64_t i = 0; i < n_tensors; ++i) records.push_back(read_tensor_record(reader, i, alignment));

  const uint64_t data_begin = (reader.offset() + alignment - 1) / alignment * alignment;
  const uint64_t data_bytes = bytes.size() > data_begin ? bytes.size() - data_begin : 0;
  std::vector<TensorSpan> spans;
  spans.reserve(n_tensors);
  for (TensorRecord& tensor : records) {
    uint64_t end = 0;
    if (!checked_add(tensor.offset, tensor.bytes, end) || end > data_bytes) {
      throw Error(ErrorCode::kCorrupt, origin_ + ": tensor " + quote(tensor.name) + " needs " +
                                           std::to_string(tensor.bytes) + " bytes at data offset " +
                                           std::to_string(tensor.offset) + " (data begins at byte " +
                                           std::to_string(data_begin) + "), but the file ends at byte " +
                                           std::to_string(bytes.size()));
    }
    tensor.view.data = bytes.subspan(data_begin + tensor.offset, tensor.bytes);
    spans.push_back({tensor.offset, end, tensor.name});
    if (!tensors_.emplace(std::string(tensor.name), std::move(tensor.view)).second)
      throw Error(ErrorCode::kCorrupt, origin_ + ": tensor " + quote(tensor.name) + " appears twice");
  }
  refuse_overlap(spans, origin_);
}

namespace {

template <typename T>
T read_as(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// False when the type is no integer, or the value does not fit.
bool to_integer(GgufType type, const std::byte* bytes, int64_t& value) {
  switch (type) {
    case GgufType::kUint8:
      value = read_as<uint8_t>(bytes);
      return true;
    case GgufType::kInt8:
      value = read_as<int8_t>(bytes);
      return true;
    case GgufType::kUint16:
      value = read_as<uint16_t>(bytes);
      return true;
    case GgufType::kInt16:
      value = read_as<int16_t>(bytes);
      return true;
    case GgufType::kUint32:
      value = read_as<uint32_t>(bytes);
      return true;
    case GgufType::kInt32:
      value = read_as<int32_t>(bytes);
      return true;
    case GgufType::kUint64:
    case GgufType::kInt64:
      value = read_as<int64_t>(bytes);
      return type == GgufType::kInt64 || value >= 0;
    default:
      return false;
  }
}

}  // namespace

const GgufValue& GgufFile::get(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end())
    throw Error(ErrorCode::kCorrupt, origin_ + ": key " + quote(key) + " is missing");
  return found->second;
}

void GgufFile::wrong_type(std::string_view key, const GgufValue& value, const char* expected) const {
  std::string found = info(value.type).name;
  if (value.type == GgufType::kArray) found += std::string(" of ") + info(value.element_type).name;
  throw Error(ErrorCode::kCorrupt, origin_ + ": key " + quote(key) + " at byte " +
                                       std::to_string(value.offset) + " holds " + found + ", not " +
                                       expected);
}

int64_t GgufFile::integer(std::string_view key) const {
  const GgufValue& value = get(key);
  int64_t result = 0;
  if (!to_integer(value.type, value.bytes.data(), result)) wrong_type(key, value, "an integer in range");
  return result;
}

int64_t GgufFile::integer_or(std::string_view key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

double GgufFile::real(std::string_view key) const {
  const GgufValue& value = get(key);
  if (value.type == GgufType::kFloat32) return read_as<float>(value.bytes.data());
  if (value.type == GgufType::kFloat64) return read_as<double>(value.bytes.data());
  wrong_type(key, value, "a number with a fraction");
}

double GgufFile::real_or(std::string_view key, double fallback) const {
  return has(key) ? real(key) : fallback;
}

bool GgufFile::boolean_or(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  const GgufValue& value = get(key);
  if (value.type != GgufType::kBool) wrong_type(key, value, "a bool");
  return read_as<uint8_t>(value.bytes.data()) != 0;
}

std::string_view GgufFile::string(std::string_view key) const {
  const GgufValue& value = get(key);
  if (value.type != GgufType::kString) wrong_type(key, value, "a string");
  return text_of(value.bytes);
}

std::string_view GgufFile::string_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : fallback;
}

const GgufValue& GgufFile::get_array(std::string_view key, uint64_t max_count) const {
  const GgufValue& value = get(key);
  if (value.type != GgufType::kArray) wrong_type(key, value, "an array");
  if (value.count > max_count) {
    throw Error(ErrorCode::kCorrupt, origin_ + ": key " + quote(key) + " at byte " +
                                         std::to_string(value.offset) + " has " +
                                         std::to_string(value.count) + " elements; at most " +
                                         std::to_string(max_count) + " make sense");
  }
  return value;
}

std::vector<std::string_view> GgufFile::strings(std::string_view key, uint64_t max_count) const {
  const GgufValue& value = get_array(key, max_count);
  if (value.element_type != GgufType::kString) wrong_type(key, value, "an array of strings");
  std::vector<std::string_view> result(value.count);
  ByteReader reader(value.bytes, origin_);
  for (std::string_view& element : result) element = read_string(reader, key);
  return result;
}

std::vector<int64_t> GgufFile::integers(std::string_view key, uint64_t max_count) const {
  const GgufValue& value = get_array(key, max_count);
  std::vector<int64_t> result(value.count);
  const uint64_t element_bytes = info(value.element_type).bytes;
  for (uint64_t i = 0; i < value.count; ++i) {
    if (!to_integer(value.element_type, value.bytes.data() + i * element_bytes, result[i]))
      wrong_type(key, value, "an array of integers in range");
  }
  return result;
}

}  // namespace lectern
