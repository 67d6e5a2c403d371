// Histograms of sparse buckets: [[number of the bucket, count]]. Eight buckets to each doubling.

export function difference(before, after) {
  const old = new Map(before);
  return after.map(([bucket, count]) => [bucket, count - (old.get(bucket) ?? 0)]).filter(([, count]) => count > 0);
}

export function merge(histograms) {
  const sums = new Map();
  for (const buckets of histograms) {
    for (const [bucket, count] of buckets) sums.set(bucket, (sums.get(bucket) ?? 0) + count);
  }
  return [...sums].sort((a, b) => a[0] - b[0]);
}

// The value that a share of all is not above; null of none.
export function quantile(buckets, bounds, share) {
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return null;
  const wanted = share * total;
  let below = 0;
  for (const [bucket, count] of buckets) {
    if (below + count >= wanted) {
      const low = bucket > 0 ? bounds[Math.min(bucket, bounds.length) - 1] : 0;
      const high = bucket < bounds.length ? bounds[bucket] : low;
      return low + (high - low) * ((wanted - below) / count);
    }
    below += count;
  }
  return bounds[bounds.length - 1];
}
