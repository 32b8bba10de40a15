// A form for what a JSON schema describes. What it cannot draw, it takes as JSON; all of it can be given as JSON, too.
import { useSignal } from "@preact/signals";
import { useEffect, useId } from "preact/hooks";
import { beginning, beginningOf, kindOf, resolved, type Schema, typeWords, variants } from "../schema";

interface FormProps {
  schema: Schema;
  value: unknown;
  change: (value: unknown) => void;
  /** Something is written that is no value yet; with it nothing can be sent. */
  broken?: Mark;
}

/** Says of a field, by its id, whether what is written in it is no value. */
type Mark = (id: string, is: boolean) => void;

/** Which fields are broken: `any` of them, and how they say it. */
export function useBroken(): { any: boolean; mark: Mark } {
  const broken = useSignal<ReadonlySet<string>>(new Set());
  const mark = (id: string, is: boolean) => {
    if (broken.peek().has(id) === is) return;
    const next = new Set(broken.peek());
    if (is) next.add(id);
    else next.delete(id);
    broken.value = next;
  };
  return { any: broken.value.size > 0, mark };
}

/** Fields of an object, or one field where the schema is no object. */
export function SchemaForm({ schema, value, change, broken }: FormProps) {
  const asJson = useSignal(false);
  const root = schema;
  const whole = resolved(schema, root);
  const drawn = kindOf(whole) !== "json";
  return (
    <div class="form">
      {asJson.value || !drawn ? (
        <JsonField label="As JSON" value={value} change={change} broken={broken} rows={12} />
      ) : kindOf(whole) === "object" ? (
        <Fields schema={whole} root={root} value={value} change={change} broken={broken} />
      ) : (
        <Field name={whole.title ?? "Value"} schema={whole} root={root} value={value} change={change} required broken={broken} />
      )}
      {drawn && (
        <label class="check quiet">
          <input type="checkbox" checked={asJson.value} onChange={() => (asJson.value = !asJson.value)} /> as JSON
        </label>
      )}
    </div>
  );
}

interface FieldProps extends FormProps {
  name: string;
  root: Schema;
  required: boolean;
}

function Fields({ schema, root, value, change, broken }: FormProps & { root: Schema }) {
  const fields = Object.entries(schema.properties ?? {});
  const now = (value ?? {}) as Record<string, unknown>;
  if (!fields.length) return <p class="quiet">It takes nothing.</p>;
  return (
    <>
      {fields.map(([name, each]) => (
        <Field
          key={name}
          name={name}
          schema={each}
          root={root}
          required={schema.required?.includes(name) ?? false}
          value={now[name]}
          broken={broken}
          change={(given) => {
            const next = { ...now };
            if (given === undefined) delete next[name];
            else next[name] = given;
            change(next);
          }}
        />
      ))}
    </>
  );
}

function Field(props: FieldProps) {
  const { name, root, value, change, required } = props;
  const id = useId();
  const schema = resolved(props.schema, root);
  const { options, nullable } = variants(schema, root);
  const chosen = useSignal(Math.max(0, options.findIndex((each) => fits(value, each))));
  const option = resolved(options[chosen.value] ?? {}, root);
  const isNull = value === null;
  const inner = { ...props, schema: option, id };
  const type = typeWords(schema, root);
  return (
    <div class="field">
      <div class="field-head">
        <label for={id}>
          {schema.title && schema.title.toLowerCase().replaceAll(" ", "_") !== name.toLowerCase() ? schema.title : name}
          {required && <span class="required" title="required"> *</span>}
        </label>
        <span class="quiet">{type}</span>
        {options.length > 1 && (
          <select
            aria-label={`Kind of ${name}`}
            value={chosen.value}
            onChange={(event) => {
              chosen.value = Number(event.currentTarget.value);
              change(beginning(options[chosen.value] ?? {}, root, true));
            }}
          >
            {options.map((each, index) => (
              <option key={index} value={index}>
                {typeWords(each, root)}
              </option>
            ))}
          </select>
        )}
        {nullable && (
          <label class="check quiet">
            <input
              type="checkbox"
              checked={isNull}
              onChange={() => change(isNull ? beginning(option, root, true) : null)}
            />{" "}
            nothing
          </label>
        )}
      </div>
      {schema.description && <p class="quiet">{schema.description}</p>}
      {!isNull && <Input {...inner} />}
    </div>
  );
}

function Input({ id, name, schema, root, value, change, required, broken }: FieldProps & { id: string }) {
  switch (kindOf(schema)) {
    case "choice": {
      const choices = schema.enum ?? [schema.const];
      return (
        <select
          id={id}
          value={value === undefined ? "" : JSON.stringify(value)}
          onChange={(event) => change(event.currentTarget.value ? JSON.parse(event.currentTarget.value) : undefined)}
        >
          {(!required || value === undefined) && <option value="">–</option>}
          {choices.map((each) => (
            <option key={JSON.stringify(each)} value={JSON.stringify(each)}>
              {String(each)}
            </option>
          ))}
        </select>
      );
    }
    case "boolean":
      return <input id={id} type="checkbox" checked={value === true} onChange={(event) => change(event.currentTarget.checked)} />;
    case "number":
      return <NumberInput id={id} schema={schema} value={value} change={change} />;
    case "text":
      return <TextInput id={id} schema={schema} value={value} change={change} required={required} />;
    case "list":
      return <ListInput id={id} name={name} schema={schema} root={root} value={value} change={change} broken={broken} />;
    case "object":
      return (
        <fieldset id={id}>
          <legend class="hidden">{name}</legend>
          <Fields schema={schema} root={root} value={value ?? beginningOf(schema, root)} change={change} broken={broken} />
        </fieldset>
      );
    default:
      return <JsonField id={id} label={name} value={value} change={change} broken={broken} rows={3} />;
  }
}

type Simple = Omit<FormProps, "schema"> & { id: string; schema: Schema };

function NumberInput({ id, schema, value, change }: Simple) {
  const text = useSignal(value === undefined || value === null ? "" : String(value));
  const wrong = useSignal(false);
  return (
    <input
      id={id}
      inputMode={schema.type === "integer" ? "numeric" : "decimal"}
      autocomplete="off"
      aria-invalid={wrong.value}
      value={text.value}
      onInput={(event) => {
        text.value = event.currentTarget.value;
        const written = text.value.trim();
        const number = Number(written.replace(",", "."));
        wrong.value = written !== "" && !Number.isFinite(number);
        // What is no number goes as it is written: the server says what is wrong with it.
        change(written === "" ? undefined : wrong.value ? written : number);
      }}
    />
  );
}

function TextInput({ id, schema, value, change, required }: Simple & { required: boolean }) {
  const text = typeof value === "string" ? value : "";
  const set = (given: string) => change(given === "" && !required ? undefined : given);
  if (schema.format === "date-time") return <MomentInput id={id} value={text} change={change} />;
  if (schema.format === "multiline" || (schema.maxLength ?? 0) > 200 || text.includes("\n")) {
    return <textarea id={id} rows={4} value={text} onInput={(event) => set(event.currentTarget.value)} />;
  }
  const hidden = schema.format === "password" || schema.writeOnly;
  const type = hidden ? "password" : schema.format === "date" ? "date" : "text";
  return (
    <input
      id={id}
      type={type}
      value={text}
      maxLength={schema.maxLength}
      autocomplete={hidden ? "new-password" : "off"}
      placeholder={typeof schema.examples?.[0] === "string" ? schema.examples[0] : undefined}
      onInput={(event) => set(event.currentTarget.value)}
    />
  );
}

/** A moment: the browser's own field is of the wall clock here; what is sent has its offset. */
function MomentInput({ id, value, change }: { id: string; value: string; change: (value: unknown) => void }) {
  const at = value ? new Date(value) : null;
  const local =
    at && !Number.isNaN(at.getTime())
      ? new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
      : "";
  return (
    <input
      id={id}
      type="datetime-local"
      step={1}
      value={local}
      onChange={(event) => {
        const given = event.currentTarget.value;
        change(given ? new Date(given).toISOString() : undefined);
      }}
    />
  );
}

function ListInput({ id, name, schema, root, value, change, broken }: Simple & { name: string; root: Schema }) {
  const items = Array.isArray(value) ? value : [];
  const item = (schema.items as Schema) ?? {};
  const put = (index: number, given: unknown) => change(items.map((each, at) => (at === index ? given : each)));
  return (
    <div class="list" id={id}>
      {items.map((each, index) => (
        <div class="list-item" key={`${index}/${items.length}`}>
          <Field name={`${name} ${index + 1}`} schema={item} root={root} required value={each} broken={broken} change={(given) => put(index, given)} />
          <button
            type="button"
            class="bare"
            aria-label={`Remove ${name} ${index + 1}`}
            onClick={() => change(items.filter((_, at) => at !== index))}
          >
            ✕
          </button>
        </div>
      ))}
      <button type="button" onClick={() => change([...items, beginning(item, root, true) ?? null])}>
        Add
      </button>
    </div>
  );
}

interface JsonProps {
  label: string;
  value: unknown;
  change: (value: unknown) => void;
  broken?: Mark;
  rows: number;
  id?: string;
}

/** A value as JSON. */
export function JsonField({ label, value, change, broken, rows, id }: JsonProps) {
  const text = useSignal(value === undefined ? "" : JSON.stringify(value, null, 2));
  const trouble = useSignal<string | null>(null);
  const own = useId();
  useEffect(() => () => broken?.(own, false), []);
  return (
    <div class="json">
      <textarea
        id={id ?? own}
        class="code"
        rows={rows}
        spellcheck={false}
        aria-label={label}
        aria-invalid={trouble.value !== null}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          try {
            change(text.value.trim() === "" ? undefined : JSON.parse(text.value));
            trouble.value = null;
          } catch (error) {
            trouble.value = (error as Error).message;
          }
          broken?.(own, trouble.value !== null);
        }}
      />
      {trouble.value && (
        <p class="wrong" role="alert">
          This is no JSON: {trouble.value}
        </p>
      )}
    </div>
  );
}

function fits(value: unknown, schema: Schema): boolean {
  if (value === undefined || value === null) return false;
  if (schema.enum) return schema.enum.includes(value);
  if (schema.type === "array") return Array.isArray(value);
  if (schema.type === "object" || schema.properties) return typeof value === "object" && !Array.isArray(value);
  if (schema.type === "integer") return Number.isInteger(value);
  return typeof value === schema.type;
}
