#include <string>
#include <utility>

#include "io/access_line.h"
#include "io/http_session.h"

namespace naiad {

bool HttpSession::admit() {
  const AccessGate& gate = context_.options.http.gate;
  exchange_.asked = exchange_.infer ? kAskedToInfer : gate.asked(head_.target, head_.method);
  exchange_.framing.openai_errors = exchange_.asked.group == ApiGroup::kOpenAi;
  exchange_.key_name.clear();
  if (!gate.is_closed()) return true;
  AccessGate::Verdict verdict = gate.check(exchange_.asked, head_.fields, client_);
  exchange_.key_name = std::move(verdict.key_name);
  switch (verdict.refusal) {
    case AccessGate::Refusal::kNone:
      return true;
    case AccessGate::Refusal::kNoKey:
      refuse(401, verdict.message, Http1Field{"WWW-Authenticate", "Bearer realm=\"naiad\""});
      return false;
    case AccessGate::Refusal::kUnknownKey:
      refuse(401, verdict.message,
             Http1Field{"WWW-Authenticate", "Bearer realm=\"naiad\", error=\"invalid_token\""});
      return false;
    case AccessGate::Refusal::kRestricted:
    case AccessGate::Refusal::kForbidden:
      refuse(403, verdict.message);
      return false;
    case AccessGate::Refusal::kGuessing: {
      const std::string seconds = std::to_string(verdict.retry_after_s);
      exchange_.framing.keep_alive = false;  // so that each further guess costs a connection
      refuse(429, verdict.message, Http1Field{"Retry-After", seconds});
      return false;
    }
    case AccessGate::Refusal::kUnchecked:
      refuse(503, verdict.message);
      return false;
  }
  return false;
}

void HttpSession::tell(int status) {
  if (std::exchange(exchange_.told, true)) return;
  context_.counts.count_http(exchange_.asked.group, status);
  if (!context_.options.access_log) return;
  log_access({peer_, "http", head_.method, head_.target, status, context_.loop.now_ns() - begun_ns_,
              exchange_.key_name});
}

}  // namespace naiad
