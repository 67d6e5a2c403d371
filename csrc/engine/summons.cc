#include "engine/summons.h"

#include <algorithm>
#include <utility>

namespace naiad {
namespace {

Status stopping() {
  return {Code::kUnavailable, "Server is stopping, no more models are loaded"};
}

// Why a parked request is not to wait any longer; ok when it is.
Status reason_to_leave(const Request& request, std::uint64_t now_ns) {
  if (request.is_cancelled()) return {Code::kCancelled, "the request was cancelled while its model loaded"};
  if (request.deadline_ns != 0 && now_ns >= request.deadline_ns) {
    return {Code::kDeadlineExceeded, "the deadline of the request passed while its model loaded"};
  }
  return {};
}

}  // namespace

void Summons::allow(std::set<std::string, std::less<>> names) {
  const std::lock_guard lock(mutex_);
  allowed_.swap(names);
  std::erase_if(models_, [&](const auto& each) {
    return !allowed_.contains(each.first) && each.second.parked.empty() && !each.second.asked;
  });
}

bool Summons::allows(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  return allowed_.contains(name);
}

bool Summons::takes(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  if (closed_ || !allowed_.contains(name)) return false;
  const auto model = models_.find(name);
  return model == models_.end() || !rests(model->second);
}

Status Summons::park(std::unique_ptr<Request>& request) {
  const std::lock_guard lock(mutex_);
  if (!allowed_.contains(request->model_name)) {
    return {Code::kNotFound,
            "Request for unknown model: '" + std::string(request->model_name) + "' is not found"};
  }
  if (closed_) return stopping();
  std::string name(request->model_name);
  Model& model = models_[name];
  if (rests(model)) return model.failure;
  if (model.parked.size() >= kMaxParked) {
    return {Code::kUnavailable, "model '" + name + "' is being loaded, and " + std::to_string(kMaxParked) +
                                    " requests wait for it already"};
  }
  model.parked.push_back(std::move(request));
  ++num_parked_;
  ask(name, model);
  return {};
}

void Summons::ask(const std::string& name, Model& model) {
  if (std::exchange(model.asked, true)) return;
  wanted_.push_back(name);
  wanted_changed_.notify_one();
}

std::optional<std::string> Summons::take() {
  std::unique_lock lock(mutex_);
  wanted_changed_.wait(lock, [&] { return closed_ || !wanted_.empty(); });
  if (closed_) return std::nullopt;
  std::string name = std::move(wanted_.front());
  wanted_.pop_front();
  return name;
}

void Summons::arrived(const std::string& name) {
  Parked parked;
  {
    const std::lock_guard lock(mutex_);
    const auto model = models_.find(name);
    if (model == models_.end()) return;
    model->second.rests_until_ns = 0;
    parked = take_parked(model->second);
  }
  submit(std::move(parked));
}

void Summons::answer(const std::string& name, const Status& status) {
  Parked parked;
  {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(name);
    if (found == models_.end()) return;
    Model& model = found->second;
    model.asked = false;
    model.rests_until_ns = status.ok() ? 0 : clock_.now_ns() + kRestNs;
    model.failure = status;
    parked = take_parked(model);
  }
  if (status.ok()) return submit(std::move(parked));
  for (auto& request : parked) send_home(std::move(request), status);
}

Summons::Parked Summons::take_parked(Model& model) {
  Parked parked;
  parked.reserve(model.parked.size());
  std::ranges::move(model.parked, std::back_inserter(parked));
  model.parked.clear();
  num_parked_ -= parked.size();
  return parked;
}

void Summons::submit(Parked parked) {
  for (auto& request : parked) {
    Status status = reason_to_leave(*request, clock_.now_ns());
    if (status.ok() && !request->awaits_model_only) {
      status = submit_(request);
      if (status.ok()) continue;
    }
    send_home(std::move(request), status);
  }
}

void Summons::send_home(std::unique_ptr<Request> request, const Status& status) {
  Response response;
  response.status = status;
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
}

bool Summons::sweep() {
  std::vector<std::pair<std::unique_ptr<Request>, Status>> leaving;
  bool again = false;
  {
    const std::lock_guard lock(mutex_);
    if (num_parked_ == 0) return false;
    const std::uint64_t now_ns = clock_.now_ns();
    for (auto& [name, model] : models_) {
      std::erase_if(model.parked, [&](std::unique_ptr<Request>& request) {
        Status status = reason_to_leave(*request, now_ns);
        if (status.ok()) return false;
        leaving.emplace_back(std::move(request), std::move(status));
        return true;
      });
    }
    num_parked_ -= leaving.size();
    again = num_parked_ != 0;
  }
  for (auto& [request, status] : leaving) send_home(std::move(request), status);
  return again;
}

void Summons::close() {
  std::vector<Parked> all;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    wanted_.clear();
    for (auto& [name, model] : models_) {
      model.asked = false;
      all.push_back(take_parked(model));
    }
  }
  wanted_changed_.notify_all();
  for (Parked& parked : all) {
    for (auto& request : parked) send_home(std::move(request), stopping());
  }
}

std::size_t Summons::num_parked() const {
  const std::lock_guard lock(mutex_);
  return num_parked_;
}

}  // namespace naiad
