#pragma once

#include <string>
#include <string_view>

namespace naiad {

// Messages serialized by the official Python client and protobuf (tritonclient.grpc, deterministic order), in
// hexadecimal. kClientRequest: what InferenceServerClient.infer() sends for an INT32 input [[1,2]], a BYTES
// input [b"ab", b""], output OUTPUT0 with class_count 2, version 3, id g7, sequence 42 (start), priority 2,
// timeout 1000 and parameters s="x", i=-5, b=true. kTypedRequest: one input per datatype with typed contents
// at their limits. kResponse: SUM INT32 [1,2] = [4,6], E FP32 [0,200], id g7 and parameter b=true.
// 233 bytes
constexpr std::string_view kClientRequest =
    "0a036164641201331a02673722070a01621202080122100a0169120b10fbffffffffffffffff01220e0a087072696f72"
    "6974791202280222120a0c73657175656e63655f656e641202080022110a0b73657175656e63655f69641202102a2214"
    "0a0e73657175656e63655f73746172741202080122080a017312031a0178220e0a0774696d656f7574120310e8072a13"
    "0a06494e505554301205494e5433321a0201022a0d0a0153120542595445531a0102321f0a074f55545055543012140a"
    "0e636c617373696669636174696f6e120210023a0801000000020000003a0a02000000616200000000";
// 412 bytes
constexpr std::string_view kTypedRequest =
    "0a016d2a160a04424f4f4c1204424f4f4c1a01032a050a030100012a1e0a04494e54381204494e54381a01022a0d120b"
    "80ffffffffffffffff017f2a220a05494e5431361205494e5431361a01022a0f120d8080feffffffffffff01ffff012a"
    "240a05494e5433321205494e5433321a01022a11120f80808080f8ffffffff01ffffffff072a280a05494e5436341205"
    "494e5436341a01022a151a1380808080808080808001ffffffffffffffff7f2a180a0555494e5438120555494e54381a"
    "01022a05220300ff012a1a0a0655494e543136120655494e5431361a01012a052203ffff032a1c0a0655494e54333212"
    "0655494e5433321a01012a072205ffffffff0f2a210a0655494e543634120655494e5436341a01012a0c2a0affffffff"
    "ffffffffff012a1b0a04465033321204465033321a01022a0a32080000003f0000a0bf2a240a04465036341204465036"
    "341a0202012a123a109a9999999999b93f01000000000000002a1f0a054259544553120542595445531a01032a0c4200"
    "4203610062420378797a2a100a05454d5054591204465033321a0100";
// 67 bytes
constexpr std::string_view kResponse =
    "0a036164641201311a02673722070a0162120208012a100a0353554d1205494e5433321a0201022a0e0a014512044650"
    "33321a0300c801320804000000060000003200";

inline std::string from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return bytes;
}

}  // namespace naiad
