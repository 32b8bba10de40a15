// Written by ui/generate.py. Do not edit.

import { ask } from "../ask";

export interface Answer {
  outcome: PausesOutcome;
  at: string;
  who?: string | null;
  input?: unknown;
  comment?: string | null;
}

export interface ApiKey {
  prefix: string;
  name: string;
  owner: string | null;
  role: Role;
  scopes: string[] | null;
  created: string;
  expires: string | null;
  revoked: string | null;
  last_used: string | null;
}

export interface Applied {
  deployment: Deployment;
  created: boolean;
  changes?: Record<string, unknown[]>;
}

export interface ApplyDeployment {
  flow_name: string;
  name: string;
  entrypoint?: string | null;
  path?: string | null;
  pull_steps?: Record<string, unknown>[];
  version?: string | null;
  description?: string | null;
  tags?: string[];
  labels?: Record<string, string>;
  parameters?: Record<string, unknown>;
  parameter_schema?: Record<string, unknown>;
  enforce_parameter_schema?: boolean;
  work_pool?: string | null;
  work_queue?: string | null;
  job_variables?: Record<string, unknown>;
  concurrency_limit?: number | null;
  collision?: Collision;
  priority?: number | null;
  concurrency_key?: string | null;
  concurrency_limit_per_key?: number | null;
  rate_limit_per_key?: Rate | null;
  grace?: number | null;
  start_timeout?: number | null;
  paused?: boolean;
  schedules?: ScheduleGiven[];
  dry_run?: boolean;
}

export interface ApproveFlowRun {
  run_input?: unknown;
  comment?: string | null;
}

export interface Arrived {
  ids: string[];
}

export interface Artifact {
  id: string;
  type: string;
  data?: unknown;
  key?: string | null;
  description?: string | null;
  metadata?: Record<string, string>;
  flow_run_id?: string | null;
  task_run_id?: string | null;
  created: string;
  updated: string;
}

export interface ArtifactFilter {
  keys?: string[];
  types?: string[];
  flow_run_id?: string | null;
  task_run_id?: string | null;
  after?: string | null;
  before?: string | null;
}

export interface AuditEntry {
  at: string;
  who: string;
  role: string;
  operation: string;
  outcome: string;
  objects?: string[];
  arguments?: Record<string, unknown>;
  address?: string;
  agent?: string;
  key?: string | null;
  n?: number;
}

export interface Automation {
  name: string;
  trigger: RunState | RunLasts | WorkerGone | Happened;
  actions: (Notify | CancelRun | RunDeployment | PauseDeployment | ResumeDeployment)[];
  description?: string;
  enabled?: boolean;
  since?: string | null;
}

export interface Backfill {
  id: string;
  deployment_id: string;
  deployment_name: string;
  schedule: CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule;
  schedule_created: string;
  start: string;
  end: string;
  parallelism: number;
  total: number;
  created: string;
  who: string;
  parameters?: Record<string, unknown>;
  made?: number;
  made_until?: string | null;
  cancelled?: string | null;
  ended?: string | null;
  counts?: Record<string, number>;
}

export interface Block {
  id: string;
  type: string;
  name: string;
  data: Record<string, unknown>;
  created: string;
  updated: string;
  secrets?: ((string | number)[])[];
  opened?: ClearSecret[] | null;
}

export interface BulkCancel {
  ids?: string[] | null;
  filter?: RunFilter | null;
  grace?: number | null;
  dry_run?: boolean;
}

export interface BulkDelete {
  ids?: string[] | null;
  filter?: RunFilter | null;
  force?: boolean;
  dry_run?: boolean;
  limit?: number;
}

export interface BulkDeleted {
  ids: string[];
  subflow_runs: number;
  more?: boolean;
}

export interface CancelBackfill {
}

export interface CancelFlowRun {
  grace?: number | null;
}

export interface CancelRun {
  type: "cancel-flow-run";
  grace?: number | null;
}

export interface CancelTaskRun {
  grace?: number | null;
}

export interface Cancelled {
  id: string;
  outcome: FlowRunsOutcome;
  message: string;
  run?: FlowRun | null;
}

export type CatchUp = "all" | "latest" | "none";

export interface Changes {
  number: number;
}

export interface ChangesSeen {
  seen?: number | null;
  wait?: number;
}

export interface CheckFlowRunRetry {
  elsewhere?: boolean;
}

export interface ClaimLaunches {
  worker: WorkerReport;
  work_pool?: string | null;
  queues?: string[];
  deployments?: string[];
  running?: string[];
  seen?: string[];
  next_seen?: string | null;
  slots?: number;
  wait?: number;
  draining?: boolean;
}

export interface ClaimSlots {
  id: string;
  names: string[];
  occupy?: number;
  strict?: boolean;
  wait?: boolean;
  waiter?: string | null;
  run_id?: string | null;
  flow_run_id?: string | null;
  holder?: Holder | null;
  lease_seconds?: number | null;
}

export interface Claimed {
  taken: boolean;
  rates?: string[];
  missing?: string[];
  limit?: string | null;
  slots?: number;
  place?: number;
}

export interface Claims {
  work?: Work[];
  stops?: StopRequest[];
  lost?: string[];
  base_job_template?: Record<string, unknown>;
  grace?: number | null;
  next?: string | null;
  now?: string | null;
  paused?: string | null;
}

export interface ClearSecret {
  place: (string | number)[];
  value?: unknown;
  data?: string | null;
}

export type Collision = "CANCEL_NEW" | "CANCEL_OLD" | "ENQUEUE";

export interface Count {
  count: number;
}

export interface CountArtifacts {
  filter?: ArtifactFilter;
  latest?: boolean;
}

export interface CountBlockDocuments {
}

export interface CountEvents {
  filter?: EventFilter;
}

export interface CountFlows {
}

export interface CountRuns {
  filter?: RunFilter;
}

export interface CountTaskRunsOfFlowRun {
}

export interface CountTaskRunsOfFlowRunByTask {
}

export interface CountVariables {
}

export interface CreateArtifact {
  type: string;
  data?: unknown;
  key?: string | null;
  description?: string | null;
  metadata?: Record<string, string>;
  flow_run_id?: string | null;
  task_run_id?: string | null;
}

export interface CreateBackfill {
  start: string;
  end: string;
  schedule?: CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule | null;
  slug?: string | null;
  parallelism?: number;
  parameters?: Record<string, unknown>;
  dry_run?: boolean;
}

export interface CreateDeploymentSchedule {
  schedule: CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule;
  active?: boolean;
  slug?: string | null;
  parameters?: Record<string, unknown>;
  catchup?: CatchUp;
  catchup_window?: number | null;
  overlap?: Overlap;
  jitter?: number;
}

export interface CreateFlowRunFromDeployment {
  parameters?: Record<string, unknown>;
  scheduled_time?: string | null;
  name?: string | null;
  tags?: string[];
  job_variables?: Record<string, unknown>;
  work_queue?: string | null;
  priority?: number | null;
  concurrency_key?: string | null;
  idempotency_key?: string | null;
  parent_flow_run_id?: string | null;
  parent_task_run_id?: string | null;
  traceparent?: string | null;
  tracestate?: string | null;
}

export interface CreateKey {
  name: string;
  role?: Role | null;
  scopes?: string[];
  expires?: string | null;
  owner?: string | null;
}

export interface CreateLimit {
  name: string;
  limit: number;
  slot_decay_per_second?: number;
  active?: boolean;
}

export interface CreatePauseLink {
  to?: string;
  expires_in?: number;
  pause_id?: string | null;
}

export interface CreatePool {
  name: string;
  type?: string;
  description?: string | null;
  base_job_template?: Record<string, unknown>;
  concurrency_limit?: number | null;
  grace?: number | null;
  is_paused?: boolean;
  overwrite?: boolean;
}

export interface CreateUser {
  name: string;
  role?: Role;
  password?: string | null;
}

export interface CreateWorkQueue {
  name: string;
  description?: string | null;
  priority?: number;
  concurrency_limit?: number | null;
  concurrency_key?: string | null;
  concurrency_limit_per_key?: number | null;
  rate_limit_per_key?: Rate | null;
  is_paused?: boolean;
}

export interface CronSchedule {
  kind: "cron";
  cron: string;
  timezone?: string;
  day_or?: boolean;
}

export interface Decision {
  verdict: PausesVerdict;
  at: string;
  name: string;
  who: string;
  comment?: string | null;
  input?: unknown;
}

export interface DeleteArtifact {
}

export interface DeleteAutomation {
}

export interface DeleteBlockDocument {
}

export interface DeleteConcurrencyLimit {
}

export interface DeleteDeployment {
}

export interface DeleteDeploymentSchedule {
}

export interface DeleteFlowRun {
  force?: boolean;
}

export interface DeleteVariable {
}

export interface DeleteWorkPool {
}

export interface DeleteWorkQueue {
}

export interface Deleted {
  flow_runs: number;
  subflow_runs: number;
}

export interface Deployment {
  id: string;
  name: string;
  flow_id: string;
  flow_name: string;
  created: string;
  updated: string;
  revision?: number;
  version?: string | null;
  description?: string | null;
  tags?: string[];
  labels?: Record<string, string>;
  entrypoint?: string | null;
  path?: string | null;
  pull_steps?: Record<string, unknown>[];
  parameters?: Record<string, unknown>;
  parameter_schema?: Record<string, unknown>;
  enforce_parameter_schema?: boolean;
  work_pool?: string | null;
  work_queue?: string | null;
  job_variables?: Record<string, unknown>;
  paused?: boolean;
  concurrency_limit?: number | null;
  collision?: Collision;
  priority?: number | null;
  concurrency_key?: string | null;
  concurrency_limit_per_key?: number | null;
  rate_limit_per_key?: Rate | null;
  grace?: number | null;
  start_timeout?: number | null;
  schedules?: DeploymentSchedule[];
  last_polled?: string | null;
}

export interface DeploymentSchedule {
  id: string;
  deployment_id: string;
  schedule: CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule;
  created: string;
  updated: string;
  slug?: string | null;
  active?: boolean;
  parameters?: Record<string, unknown>;
  catchup?: CatchUp;
  catchup_window?: number | null;
  overlap?: Overlap;
  jitter?: number;
  planned_until?: string | null;
  plan_again?: string | null;
  problem?: string | null;
}

export interface EmitEvents {
  events: EmittedEvent[];
}

export interface EmittedEvent {
  event: string;
  resource: Record<string, string>;
  id?: string | null;
  occurred?: string | null;
  related?: Record<string, string>[];
  payload?: Record<string, unknown>;
  follows?: string | null;
  flow_run_id?: string | null;
}

export interface Entrypoint {
  path?: string | null;
  function?: string | null;
  argv?: string[];
  directory?: string | null;
  python?: string | null;
  module?: string | null;
  program?: string | null;
  program_module?: string | null;
  digest?: string | null;
  prefect?: string | null;
}

export interface EventFilter {
  events?: string[];
  resource_ids?: string[];
  flow_run_id?: string | null;
  after?: string | null;
  before?: string | null;
}

export interface EventMatch {
  event: string;
  resource_id?: string | null;
  payload?: Record<string, unknown>;
  after?: string | null;
}

export interface FilterArtifacts {
  filter?: ArtifactFilter;
  limit?: number;
  cursor?: string | null;
}

export interface FilterAutomations {
}

export interface FilterBackfills {
  deployment_id?: string | null;
  limit?: number;
  cursor?: string | null;
}

export interface FilterBlocks {
  type?: string | null;
  limit?: number;
  cursor?: string | null;
}

export interface FilterDeployments {
  flow_name?: string | null;
  work_pool?: string | null;
  limit?: number;
  cursor?: string | null;
}

export interface FilterEvents {
  filter?: EventFilter;
  limit?: number;
  cursor?: string | null;
}

export interface FilterFirings {
  automation?: string | null;
  limit?: number;
  cursor?: string | null;
}

export interface FilterFlows {
  limit?: number;
  cursor?: string | null;
}

export interface FilterLaunches {
  work_pool?: string | null;
  limit?: number;
  cursor?: string | null;
}

export interface FilterLimits {
  limit?: number;
  cursor?: string | null;
}

export interface FilterLogs {
  flow_run_id?: string | null;
  task_run_id?: string | null;
  filter?: LogFilter;
  after?: number;
  before?: number | null;
  backwards?: boolean;
  last?: number | null;
  limit?: number;
  cursor?: string | null;
}

export interface FilterPauses {
  flow_run_id?: string | null;
  limit?: number;
  cursor?: string | null;
}

export interface FilterPools {
  limit?: number;
  cursor?: string | null;
}

export interface FilterRunInputs {
  key?: string | null;
  seen?: number;
  limit?: number;
  wait?: number;
}

export interface FilterRuns {
  filter?: RunFilter;
  limit?: number;
  cursor?: string | null;
  oldest_first?: boolean;
}

export interface FilterVariables {
  limit?: number;
  cursor?: string | null;
}

export interface FilterWorkers {
  work_pool?: string | null;
  all?: boolean;
  limit?: number;
}

export interface FindDeployment {
  text: string;
}

export interface FindRun {
  text: string;
}

export interface Firing {
  id: string;
  automation: string;
  subject: string;
  place: number;
  at: string;
  action: Notify | CancelRun | RunDeployment | PauseDeployment | ResumeDeployment;
  about: Record<string, string>;
  flow_run_id?: string | null;
  done?: string | null;
  outcome?: string | null;
  failed?: boolean | null;
}

export interface FlowRun {
  id: string;
  name: string;
  created: string;
  states?: State[];
  version?: number;
  flow_run_id?: string | null;
  tags?: string[];
  parameters?: Record<string, string>;
  upstream?: Record<string, string[]>;
  run_count?: number;
  result?: ResultRef | null;
  labels?: Record<string, string>;
  flow_id: string;
  flow_name: string;
  flow_version?: string | null;
  parent_task_run_id?: string | null;
  root_flow_run_id?: string | null;
  deployment_id?: string | null;
  epoch?: number;
  holder?: Holder | null;
  deadline?: string | null;
  expected_start_time?: string | null;
  entrypoint?: Entrypoint | null;
  infrastructure_pid?: string | null;
  keep?: boolean;
  lines_lost?: number;
  state?: State | null;
  state_type?: StateType | null;
  state_name?: string | null;
  start_time?: string | null;
  end_time?: string | null;
  total_run_time?: number;
}

export interface FlowSummary {
  id: string;
  name: string;
  created: string;
  runs: number;
  last_run: string | null;
  failed: number;
}

export interface FollowLogs {
  flow_run_id?: string | null;
  task_run_id?: string | null;
  filter?: LogFilter;
  last?: number | null;
  position?: string | null;
  rest?: boolean;
  wait?: number;
}

export interface GiveBackRate {
  names: string[];
  occupy?: number;
}

export interface Graph {
  nodes: GraphNode[];
}

export interface GraphFold {
  kind: string;
  of: string;
  states: Record<string, number>;
  shown: Record<string, number>;
}

export interface GraphNode {
  kind: string;
  id: string;
  above: string | null;
  name: string;
  of: string;
  states: State[];
  run_count: number;
  upstream: Record<string, string[]>;
  upstream_names: string[];
  folds: GraphFold[];
}

export interface Happened {
  type: "event";
  match: EventMatch;
}

export interface Health {
  status?: string;
}

export interface Holder {
  host: string;
  boot: string;
  pid: number;
  started: string;
  namespace?: string;
}

export interface Holding {
  id: string;
  occupy: number;
  run_id?: string | null;
  flow_run_id?: string | null;
  holder?: string | null;
  asked: string;
  taken?: string | null;
  expires?: string | null;
}

export interface Interval {
  start: string;
  end: string;
  states: StateCount[];
}

export interface IntervalSchedule {
  kind: "interval";
  interval: number;
  anchor_date?: string | null;
  timezone?: string;
}

export interface Launch {
  flow_run_id: string;
  scheduled: string;
  deployment_id?: string | null;
  schedule_id?: string | null;
  backfill_id?: string | null;
  revision?: number;
  work_pool?: string | null;
  work_queue?: string | null;
  priority?: number;
  concurrency_key?: string | null;
  key_of_queue?: boolean;
  entrypoint?: string | null;
  path?: string | null;
  pull_steps?: Record<string, unknown>[];
  parameters?: Record<string, unknown>;
  job_variables?: Record<string, unknown>;
  grace?: number | null;
  start_timeout?: number | null;
  worker?: string | null;
  claimed?: string | null;
  configuration?: Record<string, unknown> | null;
  place?: Place | null;
  launched?: string | null;
  stopping?: string | null;
  stopped_by?: string;
  stop_grace?: number | null;
  tries?: number;
  try_again?: string | null;
  problem?: string | null;
  exit_code?: number | null;
  ended?: string | null;
  late?: boolean;
}

export interface LimitRead {
  id: string;
  name: string;
  limit: number;
  active: boolean;
  slot_decay_per_second: number;
  active_slots: number;
  created: string;
  updated: string;
  holding?: Holding[];
  waiting?: Holding[];
}

export interface LinkMade {
  token: string;
  to: string;
  expires: string;
}

export interface LinkShown {
  to: string;
  expires: string;
  flow_name: string;
  run_name: string;
  state_name: string | null;
  pause: Pause | null;
}

export interface ListKeys {
  limit?: number;
  cursor?: string | null;
}

export interface ListUsers {
  limit?: number;
  cursor?: string | null;
}

export interface LogFilter {
  level?: number;
  containing?: string | null;
  task_run_id?: string | null;
  task?: string | null;
  after?: string | null;
  before?: string | null;
}

export interface LogLine {
  flow_run_id: string | null;
  task_run_id: string | null;
  seq: number;
  timestamp: string;
  level: number;
  message: string;
  logger?: string;
  file?: string | null;
  line?: number | null;
  function?: string | null;
}

export interface LogNews {
  items: LogLine[];
  tasks: Record<string, TaskNames>;
  position: string;
  silent?: boolean;
  more?: boolean;
  again?: number | null;
  ended?: boolean;
  settled?: boolean;
}

export interface LogPage {
  items: LogLine[];
  tasks: Record<string, TaskNames>;
  next?: string | null;
}

export interface Login {
  name: string;
  password: string;
}

export interface LoginForKey {
  name: string;
  password: string;
  key_name: string;
  role?: Role | null;
  expires?: string | null;
}

export interface Logout {
}

export interface LookAtLink {
  token: string;
}

export interface Me {
  who: string;
  role: Role;
  sign_in: boolean;
  name?: string | null;
  key?: string | null;
  scopes?: string[] | null;
  csrf?: string | null;
}

export interface NewKey {
  prefix: string;
  name: string;
  owner: string | null;
  role: Role;
  scopes: string[] | null;
  created: string;
  expires: string | null;
  revoked: string | null;
  last_used: string | null;
  text: string;
}

export interface Notify {
  type: "notify";
  block: string;
  body?: string | null;
  subject?: string | null;
}

export type OnTimeout = "fail" | "reject" | "resume";

export interface OneOffSchedule {
  kind: "once";
  at: string;
}

export interface OpenRequest {
  signal: Signal | null;
}

export type Overlap = "allow" | "cancel-old" | "queue" | "skip";

export interface Pause {
  id: string;
  flow_run_id: string;
  key: string;
  begun: string;
  deadline?: string | null;
  suspended?: boolean;
  who?: string | null;
  text?: string | null;
  schema?: Record<string, unknown> | null;
  plain?: boolean;
  initial?: unknown;
  on_timeout?: OnTimeout;
  default?: unknown;
  problem?: string | null;
  approval?: boolean;
  approvers?: string[];
  quorum?: number;
  decisions?: Decision[];
  event?: EventMatch | null;
  answer?: Answer | null;
}

export interface PauseDeployment {
  type: "pause-deployment";
  deployment: string;
}

export interface PauseFlowRun {
  timeout?: number | null;
  suspend?: boolean;
}

export interface Place {
  type: string;
  scope: string;
  id: string;
}

export interface Preview {
  words: string;
  times: string[];
}

export interface PreviewSchedule {
  schedule: CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule;
  limit?: number;
  after?: string | null;
}

export interface Problem {
  code: string;
  message: string;
  retry_after?: number | null;
}

export interface Problems {
  error: Problem;
}

export interface Proposal {
  type: StateType;
  name?: string | null;
  message?: string | null;
}

export interface Queues {
  items: WorkQueue[];
}

export interface RRuleSchedule {
  kind: "rrule";
  rrule: string;
  timezone?: string;
}

export interface Rate {
  limit: number;
  period: number;
}

export interface ReadArtifact {
}

export interface ReadAudit {
  who?: string | null;
  operation?: string | null;
  since?: string | null;
  until?: string | null;
  limit?: number;
  cursor?: string | null;
}

export interface ReadAutomation {
}

export interface ReadBackfill {
}

export interface ReadBlockDocument {
  include_secrets?: boolean;
}

export interface ReadBlockDocumentByName {
  include_secrets?: boolean;
}

export interface ReadConcurrencyLimit {
}

export interface ReadDeployment {
}

export interface ReadDeploymentByName {
}

export interface ReadEvent {
}

export interface ReadFlow {
}

export interface ReadFlowByName {
}

export interface ReadFlowRun {
}

export interface ReadFlowRunGraph {
  shown?: number;
}

export interface ReadHealth {
}

export interface ReadLatestArtifact {
}

export interface ReadLaunch {
}

export interface ReadLimitedTags {
}

export interface ReadMe {
}

export interface ReadReady {
}

export interface ReadSettings {
}

export interface ReadTaskRun {
}

export interface ReadTaskRunRequest {
}

export interface ReadVariableByName {
}

export interface ReadVersion {
}

export interface ReadWorkPool {
}

export interface ReadWorkQueue {
}

export interface ReadWorkQueues {
}

export interface Ready {
  status: string;
  schema: number;
}

export interface Reason {
  reason?: string | null;
}

export interface ReencryptBlockDocuments {
}

export interface Reencrypted {
  done: number;
  of: number;
}

export interface RejectFlowRun {
  comment?: string | null;
}

export interface ReleaseSlots {
  ids: string[];
}

export interface ReportLaunch {
  worker: string;
  event: LaunchesEvent;
  message?: string | null;
  configuration?: Record<string, unknown> | null;
  place?: Place | null;
  exit_code?: number | null;
  lines?: string[];
  how?: string | null;
  seconds?: number;
}

export interface Reported {
  kept: boolean;
  launch: Launch;
  run: FlowRun;
}

export interface ReserveRate {
  names: string[];
  occupy?: number;
  strict?: boolean;
  longest?: number | null;
}

export interface Reserved {
  taken: boolean;
  seconds: number;
  names?: string[];
  missing?: string[];
}

export interface ResetConcurrencyLimit {
}

export interface ResultRef {
  serializer: string;
  inline?: string | null;
  key?: string | null;
  storage?: string | null;
  size?: number;
  expires?: string | null;
}

export interface ResumeDeployment {
  type: "resume-deployment";
  deployment: string;
}

export interface ResumeFlowRun {
  run_input?: unknown;
  comment?: string | null;
}

export interface RetryFlowRun {
}

export interface RevokeApiKey {
}

export type Role = "admin" | "operator" | "viewer";

export interface RunDeployment {
  type: "run-deployment";
  deployment: string;
  parameters?: Record<string, unknown>;
}

export interface RunFilter {
  flow_names?: string[];
  task_names?: string[];
  flow_run_id?: string | null;
  name_contains?: string | null;
  state_names?: string[];
  state_types?: StateType[];
  tags?: string[];
  after?: string | null;
  before?: string | null;
  ids?: string[];
  names?: string[];
  roots?: boolean;
  deployment_id?: string | null;
}

export interface RunHistory {
  start: string;
  end: string;
  interval_seconds: number;
  filter?: RunFilter;
}

export interface RunLasts {
  type: "run-lasts";
  seconds: number;
  flows?: string[];
  tags?: string[];
}

export interface RunState {
  type: "run-state";
  states: string[];
  flows?: string[];
  tags?: string[];
}

export interface SaveAutomation {
  name: string;
  trigger: RunState | RunLasts | WorkerGone | Happened;
  actions: (Notify | CancelRun | RunDeployment | PauseDeployment | ResumeDeployment)[];
  description?: string;
  enabled?: boolean;
}

export interface SaveBlock {
  type: string;
  name: string;
  data: Record<string, unknown>;
  secrets?: ClearSecret[];
  overwrite?: boolean;
  id?: string | null;
}

export interface ScheduleGiven {
  schedule: CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule;
  active?: boolean;
  slug?: string | null;
  parameters?: Record<string, unknown>;
  catchup?: CatchUp;
  catchup_window?: number | null;
  overlap?: Overlap;
  jitter?: number;
}

export interface SendRunInput {
  key: string;
  value: unknown;
  sender?: string | null;
}

export interface SentInput {
  flow_run_id: string;
  seq: number;
  key: string;
  value: unknown;
  at: string;
  sender?: string | null;
  who?: string;
}

export interface SetFlowRunState {
  state: Proposal;
  force?: boolean;
}

export interface SetPassword {
  password: string;
  current?: string | null;
}

export interface SetVariable {
  name: string;
  value: unknown;
  tags?: string[];
  overwrite?: boolean;
}

export interface ShownSetting {
  name: string;
  value: string | null;
  source: string;
}

export interface ShownSettings {
  settings: ShownSetting[];
}

export interface Signal {
  run_id: string;
  at: string;
  who: string;
  grace?: number | null;
  flow_run_id?: string | null;
  kind?: string;
}

export interface SlotHolder {
  id: string;
  name: string;
}

export interface StateCount {
  state_type: StateType;
  state_name: string;
  count: number;
}

export interface StateSet {
  status: FlowRunsVerdict;
  state: State;
  details: Reason;
}

export type StateType = "CANCELLED" | "CANCELLING" | "COMPLETED" | "CRASHED" | "FAILED" | "PAUSED" | "PENDING" | "RUNNING" | "SCHEDULED";

export interface State {
  type: StateType;
  name?: string;
  timestamp?: string;
  message?: string | null;
  details?: Record<string, unknown> | null;
  data?: unknown;
}

export interface StatesOfFlowRun {
  flow_run_id: string;
}

export interface StatesOfTaskRun {
  task_run_id: string;
}

export interface StopRequest {
  flow_run_id: string;
  at: string;
  grace?: number | null;
  who?: string;
  over?: boolean;
}

export interface Tags {
  tags: string[];
}

export interface TaskCount {
  task_name: string;
  states: StateCount[];
}

export interface TaskNames {
  name: string;
  task_name: string;
}

export interface TaskRun {
  id: string;
  name: string;
  created: string;
  states?: State[];
  version?: number;
  flow_run_id?: string | null;
  tags?: string[];
  parameters?: Record<string, string>;
  upstream?: Record<string, string[]>;
  run_count?: number;
  result?: ResultRef | null;
  labels?: Record<string, string>;
  task_name: string;
  task_key: string;
  task_version?: string | null;
  dynamic_key?: string;
  parent_task_run_id?: string | null;
  cache_key?: string | null;
  deadline?: string | null;
  holder?: Holder | null;
  epoch?: number;
  state?: State | null;
  state_type?: StateType | null;
  state_name?: string | null;
  start_time?: string | null;
  end_time?: string | null;
  total_run_time?: number;
}

export interface UpdateArtifact {
  data?: unknown;
  description?: string | null;
}

export interface UpdateAutomation {
  enabled: boolean;
}

export interface UpdateBlockDocument {
  data: Record<string, unknown>;
  secrets?: ClearSecret[];
}

export interface UpdateConcurrencyLimit {
  limit?: number | null;
  slot_decay_per_second?: number | null;
  active?: boolean | null;
}

export interface UpdateDeployment {
  paused?: boolean;
  description?: string | null;
  tags?: string[];
  parameters?: Record<string, unknown>;
  job_variables?: Record<string, unknown>;
  work_pool?: string | null;
  work_queue?: string | null;
  concurrency_limit?: number | null;
  collision?: Collision;
  priority?: number | null;
  concurrency_key?: string | null;
  concurrency_limit_per_key?: number | null;
  rate_limit_per_key?: Rate | null;
  grace?: number | null;
  start_timeout?: number | null;
}

export interface UpdateDeploymentSchedule {
  schedule?: CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule;
  active?: boolean;
  slug?: string | null;
  parameters?: Record<string, unknown>;
  catchup?: CatchUp;
  catchup_window?: number | null;
  overlap?: Overlap;
  jitter?: number;
}

export interface UpdateFlowRun {
  name?: string;
  tags?: string[];
  labels?: Record<string, string>;
  keep?: boolean;
}

export interface UpdateUser {
  role?: Role | null;
  disabled?: boolean | null;
}

export interface UpdateVariable {
  value?: unknown;
  tags?: string[];
}

export interface UpdateWorkPool {
  description?: string | null;
  base_job_template?: Record<string, unknown>;
  concurrency_limit?: number | null;
  grace?: number | null;
  is_paused?: boolean;
}

export interface UpdateWorkQueue {
  description?: string | null;
  priority?: number;
  concurrency_limit?: number | null;
  concurrency_key?: string | null;
  concurrency_limit_per_key?: number | null;
  rate_limit_per_key?: Rate | null;
  is_paused?: boolean;
}

export interface UseLink {
  token: string;
  verdict?: PausesVerdict;
  run_input?: unknown;
  comment?: string | null;
}

export interface User {
  name: string;
  role: Role;
  disabled: boolean;
  has_password: boolean;
  created: string;
  updated: string;
}

export interface VariableRecord {
  name: string;
  value: unknown;
  tags: string[];
  created: string;
  updated: string;
}

export interface Version {
  version: string;
  protocol: number;
  schema: number;
}

export interface WaitForFlowRun {
  seen?: number;
  wait?: number;
}

export interface WaitForSlots {
  waiter: string;
  waiting?: string[];
  wait?: number;
}

export interface WaitForTaskRun {
  seen?: number;
  wait?: number;
}

export type WaitReason = "behind-others" | "concurrency-limit" | "deployment-limit" | "held-by-its-process" | "key-limit" | "key-rate-limit" | "next" | "no-worker" | "not-due" | "not-waiting" | "paused" | "schedule-busy" | "starting" | "work-pool-limit" | "work-pool-missing" | "work-pool-paused" | "work-queue-limit" | "work-queue-missing" | "work-queue-paused" | "workers-busy";

export interface Waiting {
  pause: Pause;
  run: FlowRun;
}

export interface Why {
  reason: WaitReason;
  sentence: string;
  until?: string | null;
  limit?: number | null;
  used?: number | null;
  period?: number | null;
  limit_name?: string | null;
  holders?: SlotHolder[];
  position?: number | null;
  key?: string | null;
  work_pool?: string | null;
  work_queue?: string | null;
  deployment?: string | null;
  worker?: string | null;
}

export interface WhyFlowRunWaits {
}

export interface Work {
  launch: Launch;
  run: FlowRun;
  adopt?: boolean;
}

export interface WorkPool {
  id: string;
  name: string;
  type: string;
  created: string;
  updated: string;
  description?: string | null;
  base_job_template?: Record<string, unknown>;
  concurrency_limit?: number | null;
  grace?: number | null;
  is_paused?: boolean;
}

export interface WorkQueue {
  id: string;
  work_pool: string;
  name: string;
  created: string;
  updated: string;
  description?: string | null;
  priority?: number;
  concurrency_limit?: number | null;
  concurrency_key?: string | null;
  concurrency_limit_per_key?: number | null;
  rate_limit_per_key?: Rate | null;
  is_paused?: boolean;
  last_polled?: string | null;
}

export interface WorkerGone {
  type: "worker-gone";
  work_pools?: string[];
}

export interface WorkerLeaves {
}

export interface WorkerRecord {
  id: string;
  name: string;
  work_pool: string | null;
  type: string;
  host: string;
  scope: string;
  version: string;
  started: string;
  heard: string;
  queues?: string[];
  running?: number;
  limit?: number | null;
  left?: string | null;
  draining?: boolean;
  holder?: Holder | null;
}

export interface WorkerReport {
  id: string;
  name: string;
  type: string;
  host: string;
  scope: string;
  version: string;
  started: string;
  holder?: Holder | null;
  limit?: number | null;
}

export interface EventsEvent {
  id: string;
  event: string;
  occurred: string;
  resource: Record<string, string>;
  related?: Record<string, string>[];
  payload?: Record<string, unknown>;
  follows?: string | null;
  flow_run_id?: string | null;
  received?: string | null;
}

export type PausesOutcome = "expired" | "rejected" | "resumed" | "withdrawn";

export type PausesVerdict = "approve" | "reject";

export type FlowRunsOutcome = "already-cancelling" | "cancelled" | "ended-meanwhile" | "not-asked" | "not-found" | "scheduled" | "transition-refused";

export type FlowRunsVerdict = "ABORT" | "ACCEPT" | "REJECT" | "WAIT";

export type LaunchesEvent = "ended" | "launched" | "not-launched" | "not-stopped" | "refused" | "released" | "stopped" | "waiting";

export interface Page<T> {
  items: T[];
  next?: string | null;
}

/** The settings of the server, without what is secret. */
export const readSettings = (args: {} = {}): Promise<ShownSettings> =>
  ask("GET", "/admin/settings", args);

/** Create an artifact. */
export const createArtifact = (args: CreateArtifact): Promise<Artifact> =>
  ask("POST", "/artifacts", args);

/** Count artifacts. */
export const countArtifacts = (args: CountArtifacts): Promise<Count> =>
  ask("POST", "/artifacts/count", args);

/** List artifacts, the newest first. */
export const filterArtifacts = (args: FilterArtifacts): Promise<Page<Artifact>> =>
  ask("POST", "/artifacts/filter", args);

/** List artifacts, of those with one key only the latest. */
export const filterLatestArtifacts = (args: FilterArtifacts): Promise<Page<Artifact>> =>
  ask("POST", "/artifacts/latest/filter", args);

/** Delete an artifact. */
export const deleteArtifact = (args: { id: string }): Promise<void> =>
  ask("DELETE", "/artifacts/{id}", args);

/** Read an artifact. */
export const readArtifact = (args: { id: string }): Promise<Artifact> =>
  ask("GET", "/artifacts/{id}", args);

/** Change an artifact. */
export const updateArtifact = (args: { id: string } & UpdateArtifact): Promise<Artifact> =>
  ask("PATCH", "/artifacts/{id}", args);

/** Read the latest of a key. */
export const readLatestArtifact = (args: { key: string }): Promise<Artifact> =>
  ask("GET", "/artifacts/{key}/latest", args);

/** Read the audit log, the newest line first. */
export const readAuditLog = (args: { who?: string; operation?: string; since?: string; until?: string; limit?: number; cursor?: string }): Promise<Page<AuditEntry>> =>
  ask("GET", "/audit", args);

/** List API keys. */
export const listApiKeys = (args: { limit?: number; cursor?: string }): Promise<Page<ApiKey>> =>
  ask("GET", "/auth/keys", args);

/** Create an API key. */
export const createApiKey = (args: CreateKey): Promise<NewKey> =>
  ask("POST", "/auth/keys", args);

/** Revoke an API key. */
export const revokeApiKey = (args: { key: string }): Promise<ApiKey> =>
  ask("DELETE", "/auth/keys/{key}", args);

/** Sign in: sets a cookie. */
export const login = (args: Login): Promise<Me> =>
  ask("POST", "/auth/login", args);

/** Make an API key, by name and password. */
export const loginForKey = (args: LoginForKey): Promise<NewKey> =>
  ask("POST", "/auth/login_for_key", args);

/** End the session that the cookie is of. */
export const logout = (args: Logout): Promise<void> =>
  ask("POST", "/auth/logout", args);

/** Read who asks, and what they may. */
export const readMe = (args: {} = {}): Promise<Me> =>
  ask("GET", "/auth/me", args);

/** List users by name. */
export const listUsers = (args: { limit?: number; cursor?: string }): Promise<Page<User>> =>
  ask("GET", "/auth/users", args);

/** Create a user. */
export const createUser = (args: CreateUser): Promise<User> =>
  ask("POST", "/auth/users", args);

/** Give a user another role, or disable one. */
export const updateUser = (args: { name: string } & UpdateUser): Promise<User> =>
  ask("PATCH", "/auth/users/{name}", args);

/** Set a user's password. */
export const setPassword = (args: { name: string } & SetPassword): Promise<void> =>
  ask("POST", "/auth/users/{name}/set_password", args);

/** Make or replace an automation. */
export const saveAutomation = (args: SaveAutomation): Promise<Automation> =>
  ask("POST", "/automations", args);

/** List automations. */
export const filterAutomations = (args: FilterAutomations): Promise<Automation[]> =>
  ask("POST", "/automations/filter", args);

/** List what automations fired, and what came of it. */
export const filterFirings = (args: FilterFirings): Promise<Page<Firing>> =>
  ask("POST", "/automations/firings/filter", args);

/** Delete an automation. */
export const deleteAutomation = (args: { name: string }): Promise<void> =>
  ask("DELETE", "/automations/name/{name}", args);

/** Read an automation. */
export const readAutomation = (args: { name: string }): Promise<Automation> =>
  ask("GET", "/automations/name/{name}", args);

/** Enable or disable an automation. */
export const updateAutomation = (args: { name: string } & UpdateAutomation): Promise<Automation> =>
  ask("PATCH", "/automations/name/{name}", args);

/** List backfills. */
export const filterBackfills = (args: FilterBackfills): Promise<Page<Backfill>> =>
  ask("POST", "/backfills/filter", args);

/** Read a backfill. */
export const readBackfill = (args: { id: string }): Promise<Backfill> =>
  ask("GET", "/backfills/{id}", args);

/** Make no more runs of a backfill, and cancel those that have not ended. */
export const cancelBackfill = (args: { id: string } & CancelBackfill): Promise<Backfill> =>
  ask("POST", "/backfills/{id}/cancel", args);

/** Store a block. */
export const createBlockDocument = (args: SaveBlock): Promise<Block> =>
  ask("POST", "/block_documents", args);

/** How many blocks there are of each type. */
export const countBlockDocuments = (args: CountBlockDocuments): Promise<Record<string, number>> =>
  ask("POST", "/block_documents/count", args);

/** List blocks, by type and name. */
export const filterBlockDocuments = (args: FilterBlocks): Promise<Page<Block>> =>
  ask("POST", "/block_documents/filter", args);

/** Encrypt the secrets of all blocks with the present key. */
export const reencryptBlockDocuments = (args: ReencryptBlockDocuments): Promise<Reencrypted> =>
  ask("POST", "/block_documents/reencrypt", args);

/** Read a block. */
export const readBlockDocument = (args: { id: string; include_secrets?: boolean }): Promise<Block> =>
  ask("GET", "/block_documents/{id}", args);

/** Delete a block. */
export const deleteBlockDocument = (args: { type: string; name: string }): Promise<void> =>
  ask("DELETE", "/block_types/slug/{type}/block_documents/name/{name}", args);

/** Read a block by its type and name. */
export const readBlockDocumentByName = (args: { type: string; name: string; include_secrets?: boolean }): Promise<Block> =>
  ask("GET", "/block_types/slug/{type}/block_documents/name/{name}", args);

/** Store a block's fields anew. */
export const updateBlockDocument = (args: { type: string; name: string } & UpdateBlockDocument): Promise<Block> =>
  ask("PATCH", "/block_types/slug/{type}/block_documents/name/{name}", args);

/** Wait for any change of the record. */
export const readChanges = (args: { seen?: number; wait?: number }): Promise<Changes> =>
  ask("GET", "/changes", args);

/** Create a concurrency limit. */
export const createConcurrencyLimit = (args: CreateLimit): Promise<LimitRead> =>
  ask("POST", "/concurrency_limits", args);

/** List concurrency limits, by name. */
export const filterConcurrencyLimits = (args: FilterLimits): Promise<Page<LimitRead>> =>
  ask("POST", "/concurrency_limits/filter", args);

/** Read which tags have limits. */
export const readLimitedTags = (args: ReadLimitedTags): Promise<Tags> =>
  ask("POST", "/concurrency_limits/limited_tags", args);

/** Give back what was taken of rate limits and not waited for. */
export const giveBackRate = (args: GiveBackRate): Promise<void> =>
  ask("POST", "/concurrency_limits/rate/give_back", args);

/** Take slots of rate limits, and be told how long to wait. */
export const reserveRate = (args: ReserveRate): Promise<Reserved> =>
  ask("POST", "/concurrency_limits/rate/reserve", args);

/** Take slots of limits, all or none, or queue for them. */
export const claimSlots = (args: ClaimSlots): Promise<Claimed> =>
  ask("POST", "/concurrency_limits/slots/claim", args);

/** Give slots back, or leave the queue. */
export const releaseSlots = (args: ReleaseSlots): Promise<void> =>
  ask("POST", "/concurrency_limits/slots/release", args);

/** Wait until claims that queue have their slots. */
export const waitForSlots = (args: WaitForSlots): Promise<Arrived> =>
  ask("POST", "/concurrency_limits/slots/wait", args);

/** Delete a concurrency limit; who waits for it goes on. */
export const deleteConcurrencyLimit = (args: { id_or_name: string }): Promise<void> =>
  ask("DELETE", "/concurrency_limits/{id_or_name}", args);

/** Read a concurrency limit, with who holds its slots and who waits. */
export const readConcurrencyLimit = (args: { id_or_name: string }): Promise<LimitRead> =>
  ask("GET", "/concurrency_limits/{id_or_name}", args);

/** Change a concurrency limit. */
export const updateConcurrencyLimit = (args: { id_or_name: string } & UpdateConcurrencyLimit): Promise<LimitRead> =>
  ask("PATCH", "/concurrency_limits/{id_or_name}", args);

/** Free all slots of a concurrency limit, whoever holds them. */
export const resetConcurrencyLimit = (args: { id_or_name: string } & ResetConcurrencyLimit): Promise<LimitRead> =>
  ask("POST", "/concurrency_limits/{id_or_name}/reset", args);

/** Create a deployment, or change it. */
export const applyDeployment = (args: ApplyDeployment): Promise<Applied> =>
  ask("POST", "/deployments", args);

/** Count deployments. */
export const countDeployments = (args: FilterDeployments): Promise<Count> =>
  ask("POST", "/deployments/count", args);

/** List deployments. */
export const filterDeployments = (args: FilterDeployments): Promise<Page<Deployment>> =>
  ask("POST", "/deployments/filter", args);

/** Find a deployment as people name it. */
export const findDeployment = (args: { text: string }): Promise<Deployment> =>
  ask("GET", "/deployments/find", args);

/** Read a deployment by its flow's name and its own. */
export const readDeploymentByName = (args: { flow_name: string; name: string }): Promise<Deployment> =>
  ask("GET", "/deployments/name/{flow_name}/{name}", args);

/** Run a deployment for the times of a schedule that lie in the past. */
export const createBackfill = (args: { deployment_id: string } & CreateBackfill): Promise<Backfill> =>
  ask("POST", "/deployments/{deployment_id}/backfills", args);

/** Give a deployment one more schedule. */
export const createDeploymentSchedule = (args: { deployment_id: string } & CreateDeploymentSchedule): Promise<DeploymentSchedule> =>
  ask("POST", "/deployments/{deployment_id}/schedules", args);

/** Delete a schedule, and the runs planned by it that nobody has claimed. */
export const deleteDeploymentSchedule = (args: { deployment_id: string; schedule_id: string }): Promise<void> =>
  ask("DELETE", "/deployments/{deployment_id}/schedules/{schedule_id}", args);

/** Change a schedule. */
export const updateDeploymentSchedule = (args: { deployment_id: string; schedule_id: string } & UpdateDeploymentSchedule): Promise<DeploymentSchedule> =>
  ask("PATCH", "/deployments/{deployment_id}/schedules/{schedule_id}", args);

/** Delete a deployment; its runs that wait are cancelled, those that run go on. */
export const deleteDeployment = (args: { id: string }): Promise<void> =>
  ask("DELETE", "/deployments/{id}", args);

/** Read a deployment. */
export const readDeployment = (args: { id: string }): Promise<Deployment> =>
  ask("GET", "/deployments/{id}", args);

/** Change a deployment. */
export const updateDeployment = (args: { id: string } & UpdateDeployment): Promise<Deployment> =>
  ask("PATCH", "/deployments/{id}", args);

/** Have a deployment run. */
export const createFlowRunFromDeployment = (args: { id: string } & CreateFlowRunFromDeployment): Promise<FlowRun> =>
  ask("POST", "/deployments/{id}/create_flow_run", args);

/** Say that something happened. */
export const emitEvents = (args: EmitEvents): Promise<Count> =>
  ask("POST", "/events", args);

/** Count events. */
export const countEvents = (args: CountEvents): Promise<Count> =>
  ask("POST", "/events/count", args);

/** List events, the latest first. */
export const filterEvents = (args: FilterEvents): Promise<Page<Event>> =>
  ask("POST", "/events/filter", args);

/** Read an event. */
export const readEvent = (args: { id: string }): Promise<EventsEvent> =>
  ask("GET", "/events/{id}", args);

/** The states that a flow run went through. */
export const readFlowRunStates = (args: { flow_run_id: string }): Promise<State[]> =>
  ask("GET", "/flow_run_states", args);

/** Cancel flow runs and all that they called. */
export const bulkCancelFlowRuns = (args: BulkCancel): Promise<Cancelled[]> =>
  ask("POST", "/flow_runs/bulk_cancel", args);

/** Delete flow runs with all that is theirs. */
export const bulkDeleteFlowRuns = (args: BulkDelete): Promise<BulkDeleted> =>
  ask("POST", "/flow_runs/bulk_delete", args);

/** Count flow runs. */
export const countFlowRuns = (args: CountRuns): Promise<Count> =>
  ask("POST", "/flow_runs/count", args);

/** List flow runs, the newest first. */
export const filterFlowRuns = (args: FilterRuns): Promise<Page<FlowRun>> =>
  ask("POST", "/flow_runs/filter", args);

/** Find a flow run by a part of its id, or its name. */
export const findFlowRun = (args: FindRun): Promise<FlowRun> =>
  ask("POST", "/flow_runs/find", args);

/** Count flow runs by time and state. */
export const flowRunHistory = (args: RunHistory): Promise<Interval[]> =>
  ask("POST", "/flow_runs/history", args);

/** Delete a flow run with its task runs, logs and subflow runs. */
export const deleteFlowRun = (args: { id: string; force?: boolean }): Promise<Deleted> =>
  ask("DELETE", "/flow_runs/{id}", args);

/** Read a flow run. */
export const readFlowRun = (args: { id: string }): Promise<FlowRun> =>
  ask("GET", "/flow_runs/{id}", args);

/** Change what people say of a flow run. */
export const updateFlowRun = (args: { id: string } & UpdateFlowRun): Promise<FlowRun> =>
  ask("PATCH", "/flow_runs/{id}", args);

/** Approve what a flow run asks to be approved; it goes on when enough people have. */
export const approveFlowRun = (args: { id: string } & ApproveFlowRun): Promise<FlowRun> =>
  ask("POST", "/flow_runs/{id}/approve", args);

/** Cancel a flow run and all that it called. */
export const cancelFlowRun = (args: { id: string } & CancelFlowRun): Promise<FlowRun> =>
  ask("POST", "/flow_runs/{id}/cancel", args);

/** A flow run's tree: what it called, and where values came from. */
export const readFlowRunGraph = (args: { id: string; shown?: number }): Promise<Graph> =>
  ask("GET", "/flow_runs/{id}/graph", args);

/** Send a flow run an input. */
export const sendRunInput = (args: { id: string } & SendRunInput): Promise<SentInput> =>
  ask("POST", "/flow_runs/{id}/input", args);

/** List what was sent to a flow run, or wait for it. */
export const filterRunInputs = (args: { id: string } & FilterRunInputs): Promise<SentInput[]> =>
  ask("POST", "/flow_runs/{id}/input/filter", args);

/** How a flow run is launched, and where it is. */
export const readLaunch = (args: { id: string }): Promise<Launch> =>
  ask("GET", "/flow_runs/{id}/launch", args);

/** Report what became of a launch. */
export const reportLaunch = (args: { id: string } & ReportLaunch): Promise<Reported> =>
  ask("POST", "/flow_runs/{id}/launch", args);

/** Make a link by which somebody answers what a flow run waits for, without signing in. */
export const createPauseLink = (args: { id: string } & CreatePauseLink): Promise<LinkMade> =>
  ask("POST", "/flow_runs/{id}/links", args);

/** Have a flow run wait before its next task. */
export const pauseFlowRun = (args: { id: string } & PauseFlowRun): Promise<FlowRun> =>
  ask("POST", "/flow_runs/{id}/pause", args);

/** Reject what a flow run asks to be approved. */
export const rejectFlowRun = (args: { id: string } & RejectFlowRun): Promise<FlowRun> =>
  ask("POST", "/flow_runs/{id}/reject", args);

/** Have a flow run go on that waits, with the input that it asked for. */
export const resumeFlowRun = (args: { id: string } & ResumeFlowRun): Promise<FlowRun> =>
  ask("POST", "/flow_runs/{id}/resume", args);

/** Whether a flow run could be entered again: the run, or why not. */
export const checkFlowRunRetry = (args: { id: string; elsewhere?: boolean }): Promise<FlowRun> =>
  ask("GET", "/flow_runs/{id}/retry", args);

/** Have a deployment's run that ended badly launched once more; what it completed is not run again. */
export const retryFlowRun = (args: { id: string } & RetryFlowRun): Promise<FlowRun> =>
  ask("POST", "/flow_runs/{id}/retry", args);

/** Propose a state for a flow run. */
export const setFlowRunState = (args: { id: string } & SetFlowRunState): Promise<StateSet> =>
  ask("POST", "/flow_runs/{id}/set_state", args);

/** How many task runs of a flow run are in each state. */
export const countTaskRunsOfFlowRun = (args: { id: string }): Promise<Record<string, number>> =>
  ask("GET", "/flow_runs/{id}/task_run_counts", args);

/** How many runs of each task a flow run has, and in which states. */
export const countTaskRunsOfFlowRunByTask = (args: { id: string }): Promise<TaskCount[]> =>
  ask("GET", "/flow_runs/{id}/task_run_counts_by_task", args);

/** Read a flow run when it has changed. */
export const waitForFlowRun = (args: { id: string; seen?: number; wait?: number }): Promise<FlowRun> =>
  ask("GET", "/flow_runs/{id}/wait", args);

/** Why a flow run waits: a sentence, a reason, and numbers. */
export const whyFlowRunWaits = (args: { id: string }): Promise<Why> =>
  ask("GET", "/flow_runs/{id}/why", args);

/** Count flows. */
export const countFlows = (args: CountFlows): Promise<Count> =>
  ask("POST", "/flows/count", args);

/** List flows, the most recently used first. */
export const filterFlows = (args: FilterFlows): Promise<Page<FlowSummary>> =>
  ask("POST", "/flows/filter", args);

/** Read a flow by its name. */
export const readFlowByName = (args: { name: string }): Promise<FlowSummary> =>
  ask("GET", "/flows/name/{name}", args);

/** Read a flow. */
export const readFlow = (args: { id: string }): Promise<FlowSummary> =>
  ask("GET", "/flows/{id}", args);

/** Whether the server lives. */
export const readHealth = (args: {} = {}): Promise<Health> =>
  ask("GET", "/health", args);

/** List what is launched and not over. */
export const filterLaunches = (args: FilterLaunches): Promise<Page<Work>> =>
  ask("POST", "/launches/filter", args);

/** Read lines of a log. */
export const filterLogs = (args: FilterLogs): Promise<LogPage> =>
  ask("POST", "/logs/filter", args);

/** Follow a log while it grows. */
export const followLogs = (args: FollowLogs): Promise<LogNews> =>
  ask("POST", "/logs/follow", args);

/** Look what a link is for. */
export const readPauseLink = (args: LookAtLink): Promise<LinkShown> =>
  ask("POST", "/pause_links/read", args);

/** Answer by a link: approve, resume or reject. */
export const usePauseLink = (args: UseLink): Promise<FlowRun> =>
  ask("POST", "/pause_links/use", args);

/** List what waits for somebody, or all pauses of a run. */
export const filterPauses = (args: FilterPauses): Promise<Page<Waiting>> =>
  ask("POST", "/pauses/filter", args);

/** Whether the server can do its work. */
export const readReady = (args: {} = {}): Promise<Ready> =>
  ask("GET", "/ready", args);

/** The next times of a schedule. */
export const previewSchedule = (args: PreviewSchedule): Promise<Preview> =>
  ask("POST", "/schedules/preview", args);

/** The states that a task run went through. */
export const readTaskRunStates = (args: { task_run_id: string }): Promise<State[]> =>
  ask("GET", "/task_run_states", args);

/** Count task runs. */
export const countTaskRuns = (args: CountRuns): Promise<Count> =>
  ask("POST", "/task_runs/count", args);

/** List task runs, the newest first. */
export const filterTaskRuns = (args: FilterRuns): Promise<Page<TaskRun>> =>
  ask("POST", "/task_runs/filter", args);

/** Find a task run by a part of its id. */
export const findTaskRun = (args: FindRun): Promise<TaskRun> =>
  ask("POST", "/task_runs/find", args);

/** Read a task run. */
export const readTaskRun = (args: { id: string }): Promise<TaskRun> =>
  ask("GET", "/task_runs/{id}", args);

/** Cancel a task run; its flow goes on. */
export const cancelTaskRun = (args: { id: string } & CancelTaskRun): Promise<TaskRun> =>
  ask("POST", "/task_runs/{id}/cancel", args);

/** The request to stop a task run that it has not answered yet. */
export const readTaskRunRequest = (args: { id: string }): Promise<OpenRequest> =>
  ask("GET", "/task_runs/{id}/request", args);

/** Read a task run when it has changed. */
export const waitForTaskRun = (args: { id: string; seen?: number; wait?: number }): Promise<TaskRun> =>
  ask("GET", "/task_runs/{id}/wait", args);

/** Set a variable. */
export const createVariable = (args: SetVariable): Promise<VariableRecord> =>
  ask("POST", "/variables", args);

/** Count variables. */
export const countVariables = (args: CountVariables): Promise<Count> =>
  ask("POST", "/variables/count", args);

/** List variables, by name. */
export const filterVariables = (args: FilterVariables): Promise<Page<VariableRecord>> =>
  ask("POST", "/variables/filter", args);

/** Unset a variable. */
export const deleteVariable = (args: { name: string }): Promise<void> =>
  ask("DELETE", "/variables/name/{name}", args);

/** Read a variable. */
export const readVariableByName = (args: { name: string }): Promise<VariableRecord> =>
  ask("GET", "/variables/name/{name}", args);

/** Change a variable. */
export const updateVariable = (args: { name: string } & UpdateVariable): Promise<VariableRecord> =>
  ask("PATCH", "/variables/name/{name}", args);

/** The versions of server, protocol and record. */
export const readVersion = (args: {} = {}): Promise<Version> =>
  ask("GET", "/version", args);

/** Create a work pool. */
export const createWorkPool = (args: CreatePool): Promise<WorkPool> =>
  ask("POST", "/work_pools", args);

/** List work pools. */
export const filterWorkPools = (args: FilterPools): Promise<Page<WorkPool>> =>
  ask("POST", "/work_pools/filter", args);

/** Delete a work pool; its runs that wait stay, for a pool of this name. */
export const deleteWorkPool = (args: { name: string }): Promise<void> =>
  ask("DELETE", "/work_pools/{name}", args);

/** Read a work pool. */
export const readWorkPool = (args: { name: string }): Promise<WorkPool> =>
  ask("GET", "/work_pools/{name}", args);

/** Change a work pool. */
export const updateWorkPool = (args: { name: string } & UpdateWorkPool): Promise<WorkPool> =>
  ask("PATCH", "/work_pools/{name}", args);

/** The queues of a work pool. */
export const readWorkQueues = (args: { work_pool: string }): Promise<Queues> =>
  ask("GET", "/work_pools/{work_pool}/queues", args);

/** Create a queue. */
export const createWorkQueue = (args: { work_pool: string } & CreateWorkQueue): Promise<WorkQueue> =>
  ask("POST", "/work_pools/{work_pool}/queues", args);

/** Delete a queue. */
export const deleteWorkQueue = (args: { work_pool: string; name: string }): Promise<void> =>
  ask("DELETE", "/work_pools/{work_pool}/queues/{name}", args);

/** Read a queue. */
export const readWorkQueue = (args: { work_pool: string; name: string }): Promise<WorkQueue> =>
  ask("GET", "/work_pools/{work_pool}/queues/{name}", args);

/** Change a queue. */
export const updateWorkQueue = (args: { work_pool: string; name: string } & UpdateWorkQueue): Promise<WorkQueue> =>
  ask("PATCH", "/work_pools/{work_pool}/queues/{name}", args);

/** Take runs to launch; wait for some. */
export const claimLaunches = (args: ClaimLaunches): Promise<Claims> =>
  ask("POST", "/workers/claim", args);

/** List workers. */
export const filterWorkers = (args: FilterWorkers): Promise<Page<WorkerRecord>> =>
  ask("POST", "/workers/filter", args);

/** A worker ends. */
export const workerLeaves = (args: { id: string } & WorkerLeaves): Promise<void> =>
  ask("POST", "/workers/{id}/leave", args);
